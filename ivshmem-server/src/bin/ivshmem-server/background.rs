//! Goes to the background once the server listens, as QEMU's example server does with a pid file.
//!
//! The first thing that the command does is to fork, while it has one thread. The child starts the server. The calling
//! process waits for it: it exits 0 when the server listens, and with the child's status when the start fails, which the
//! child has printed by then. So a script that goes on after the command finds the socket and the pid file.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, bail};
use nix::sys::signal::{SigHandler, Signal, signal};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork, setsid};
use rustix::process::chdir;
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};

/// The two processes after the fork.
pub(crate) enum Side {
    /// The calling process, with its exit status.
    Caller(ExitCode),
    /// The process that becomes the server.
    Daemon(Caller),
}

/// The calling process, as the daemon sees it: it waits until this is released or dropped.
#[derive(Debug)]
pub(crate) struct Caller(io::PipeWriter);

/// Forks ([fork(2)](https://man7.org/linux/man-pages/man2/fork.2.html)). Returns in the calling process only when the other
/// one listens or has ended. Must be called while there are no other threads: a lock that one of them holds would stay
/// locked in the child.
pub(crate) fn split() -> io::Result<Side> {
    let (reader, writer) = io::pipe()?;
    // Some supervisors start their children with SIGCHLD ignored. The kernel would then discard the child's exit status.
    // SAFETY: it installs no handler.
    #[expect(unsafe_code, reason = "no safe call sets a signal's default action")]
    unsafe { signal(Signal::SIGCHLD, SigHandler::SigDfl) }?;
    // SAFETY: the process has one thread, so the child may call anything.
    #[expect(unsafe_code, reason = "no safe fork exists")]
    match unsafe { fork() }? {
        ForkResult::Parent { child } => {
            drop(writer);
            Ok(Side::Caller(wait(reader, child)))
        }
        ForkResult::Child => {
            drop(reader);
            // From here on signals from the caller's terminal do not reach the daemon.
            setsid()?;
            Ok(Side::Daemon(Caller(writer)))
        }
    }
}

fn wait(mut ready: io::PipeReader, child: Pid) -> ExitCode {
    if ready.read_exact(&mut [0]).is_ok() {
        return ExitCode::SUCCESS;
    }
    match waitpid(child, None) {
        Ok(WaitStatus::Exited(_, status)) => u8::try_from(status).map_or(ExitCode::FAILURE, ExitCode::from),
        ended => {
            let _ = writeln!(io::stderr(), "ivshmem-server: the server ended before it listened: {ended:?}");
            ExitCode::FAILURE
        }
    }
}

impl Caller {
    /// Leaves the caller's folder and its stdin, stdout and stderr, and lets it exit with status 0.
    pub(crate) fn release(mut self) -> anyhow::Result<()> {
        chdir(Path::new("/")).context("cannot change to /")?;
        let null = File::options().read(true).write(true).open("/dev/null").context("cannot open /dev/null")?;
        dup2_stdin(&null)
            .and_then(|()| dup2_stdout(&null))
            .and_then(|()| dup2_stderr(&null))
            .context("cannot redirect stdin, stdout and stderr to /dev/null")?;
        // It was stopped, with Ctrl-C for example: then its user does not want the server either.
        if self.0.write_all(&[1]).is_err() {
            bail!("the process that started this server ended before the server listened");
        }
        Ok(())
    }
}
