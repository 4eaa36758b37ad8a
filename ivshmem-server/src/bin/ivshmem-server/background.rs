//! Moves the server to the background once it listens, as QEMU's example server does with a pid file.
//!
//! The command forks first, while it has one thread. The child starts the server, and the calling process waits. It exits with
//! status 0 when the server listens. If the start fails, it exits with the child's status, and the child has printed the
//! reason. So the socket and the pid file exist when the command returns to a script.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitCode, ExitStatus};

use anyhow::{Context, bail};
use cli_common::exit_description;
use cli_common::output::print_error;
use nix::sys::signal::{SigHandler, Signal, signal};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork, setsid};
use rustix::process::chdir;
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};

/// The process after the fork.
pub(crate) enum Forked {
    /// The calling process, with its exit status.
    Caller(ExitCode),
    /// The process that becomes the server.
    Daemon(Caller),
}

/// The daemon's handle of the calling process, which waits until this is released or dropped.
#[derive(Debug)]
pub(crate) struct Caller(io::PipeWriter);

/// Forks ([fork(2)](https://man7.org/linux/man-pages/man2/fork.2.html)). Returns in the calling process only after the child
/// listens or has ended. Must be called without other threads: a lock held by one of them would stay locked in the child.
pub(crate) fn fork_daemon() -> io::Result<Forked> {
    let (reader, writer) = io::pipe()?;
    // Some supervisors start their children with SIGCHLD ignored. The kernel would then discard the child's exit status.
    // SAFETY: installs no handler.
    #[expect(unsafe_code, reason = "no safe call sets a signal's default action")]
    unsafe { signal(Signal::SIGCHLD, SigHandler::SigDfl) }?;
    // SAFETY: the process has one thread, so the child may call anything.
    #[expect(unsafe_code, reason = "no safe fork exists")]
    match unsafe { fork() }? {
        ForkResult::Parent { child } => {
            drop(writer);
            Ok(Forked::Caller(wait_for(reader, child)))
        }
        ForkResult::Child => {
            drop(reader);
            // The caller's terminal no longer sends signals to the daemon.
            setsid()?;
            Ok(Forked::Daemon(Caller(writer)))
        }
    }
}

fn wait_for(mut ready: io::PipeReader, child: Pid) -> ExitCode {
    if ready.read_exact(&mut [0]).is_ok() {
        return ExitCode::SUCCESS;
    }
    match waitpid(child, None) {
        Ok(WaitStatus::Exited(_, status)) => u8::try_from(status).map_or(ExitCode::FAILURE, ExitCode::from),
        Ok(WaitStatus::Signaled(_, signal, _)) => {
            let how = exit_description::describe(ExitStatus::from_raw(signal as i32));
            print_error(&format!("ivshmem-server: the start failed: the server {how}"));
            ExitCode::FAILURE
        }
        unexpected => {
            print_error(&format!("ivshmem-server: cannot wait for the server: {unexpected:?}"));
            ExitCode::FAILURE
        }
    }
}

impl Caller {
    /// Detaches from the caller's directory, stdin, stdout and stderr, and lets it exit with status 0.
    pub(crate) fn release(mut self) -> anyhow::Result<()> {
        chdir(Path::new("/")).context("cannot change to /")?;
        let null = File::options().read(true).write(true).open("/dev/null").context("cannot open /dev/null")?;
        dup2_stdin(&null)
            .and_then(|()| dup2_stdout(&null))
            .and_then(|()| dup2_stderr(&null))
            .context("cannot redirect stdin, stdout and stderr to /dev/null")?;
        // The caller was stopped, for example with Ctrl-C. Then the server must end as well.
        if self.0.write_all(&[1]).is_err() {
            bail!("the process that started this server ended before the server listened");
        }
        Ok(())
    }
}
