//! Child processes that never outlive this one. Dropping a `Process` ends it; the kernel ends it if this process is killed.
#![expect(unsafe_code, reason = "a child must be tied to its parent between fork and exec")]

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::Context;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getppid};

use crate::timeouts::scaled;

/// Time limit to end after SIGTERM.
const GRACE: Duration = Duration::from_secs(3);

/// A running process.
#[derive(Debug)]
pub(crate) struct Process {
    name: &'static str,
    child: Child,
}

/// How a process is started.
#[derive(Debug, Default)]
pub(crate) struct SpawnOptions {
    /// The kernel sends it when this process dies; default SIGKILL.
    pub(crate) parent_death_signal: Option<Signal>,
    /// Descriptors that it inherits under the same numbers.
    pub(crate) inherit: Vec<OwnedFd>,
    /// Whether it stays in this process group, which gives it the terminal and its Ctrl-C.
    pub(crate) terminal: bool,
}

impl Process {
    /// Starts a process. Call it on the main thread only: the parent death signal depends on the creating thread.
    pub(crate) fn start(name: &'static str, command: &mut Command, ties: SpawnOptions) -> anyhow::Result<Self> {
        let parent = Pid::this();
        let signal = ties.parent_death_signal.unwrap_or(Signal::SIGKILL);
        let numbers: Vec<i32> = ties.inherit.iter().map(AsRawFd::as_raw_fd).collect();
        if !ties.terminal {
            command.process_group(0);
        }
        let tie = move || {
            set_pdeathsig(signal)?;
            // The parent may have died before prctl.
            if getppid() != parent {
                return Err(io::ErrorKind::NotFound.into());
            }
            for number in &numbers {
                // SAFETY: the descriptor is open: the parent holds it until the child has been started.
                let fd = unsafe { std::os::fd::BorrowedFd::borrow_raw(*number) };
                fcntl(fd, FcntlArg::F_SETFD(FdFlag::empty()))?;
            }
            Ok(())
        };
        // SAFETY: between fork and exec only system calls are made; nothing allocates or locks.
        unsafe { command.pre_exec(tie) };
        let child = command.spawn();
        let program = command.get_program().to_string_lossy().into_owned();
        let child = child.with_context(|| format!("cannot start {program}"))?;
        drop(ties);
        Ok(Self { name, child })
    }

    /// The process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its stdout, if it was piped and not taken yet.
    pub(crate) fn take_stdout(&mut self) -> Option<std::process::ChildStdout> {
        self.child.stdout.take()
    }

    /// Its stderr, if it was piped and not taken yet.
    pub(crate) fn take_stderr(&mut self) -> Option<std::process::ChildStderr> {
        self.child.stderr.take()
    }

    /// The exit status, if it has ended.
    pub(crate) fn exit_status(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        self.child.try_wait().with_context(|| format!("cannot watch {}", self.name))
    }

    /// Waits until it ends; `None` if it does not end within `limit`.
    pub(crate) fn wait(&mut self, limit: Duration) -> anyhow::Result<Option<ExitStatus>> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.exit_status()? {
                return Ok(Some(status));
            }
            if start.elapsed() >= limit {
                return Ok(None);
            }
            sleep(Duration::from_millis(10));
        }
    }

    /// Ends it by SIGTERM, then by SIGKILL.
    pub(crate) fn end(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        let pid = Pid::from_raw(self.child.id().cast_signed());
        // It may have ended.
        let _ = kill(pid, Signal::SIGTERM);
        if !matches!(self.wait(scaled(GRACE)), Ok(Some(_))) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

/// A command line for a shell.
pub(crate) fn command_line(command: &Command) -> String {
    std::iter::once(command.get_program()).chain(command.get_args()).map(shell_quote).collect::<Vec<_>>().join(" ")
}

/// Quotes a word for a shell, if needed.
pub(crate) fn shell_quote(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    let plain = !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || "-_./:=,@+".contains(c));
    if plain { word.into_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use std::process::Stdio;

    use super::*;

    #[test]
    fn dropped_process_has_ended() {
        let mut command = Command::new("sleep");
        let process = Process::start("sleep", command.arg("600"), SpawnOptions::default()).unwrap();
        let pid = Pid::from_raw(process.pid().cast_signed());
        drop(process);
        assert!(kill(pid, None).is_err());
    }

    #[test]
    fn process_that_ignores_sigterm_is_killed() {
        let mut command = Command::new("sh");
        command.args(["-c", "trap '' TERM; echo ready; while :; do sleep 1; done"]).stdout(Stdio::piped());
        let mut process = Process::start("sh", &mut command, SpawnOptions::default()).unwrap();
        let mut ready = [0; 6];
        std::io::Read::read_exact(&mut process.take_stdout().unwrap(), &mut ready).unwrap();
        let pid = Pid::from_raw(process.pid().cast_signed());
        drop(process);
        assert!(kill(pid, None).is_err());
    }

    #[test]
    fn command_line_is_quoted_for_a_shell() {
        let mut command = Command::new("qemu");
        command.args(["-append", "console=ttyS0 it's", "-m", "256M"]);
        assert_eq!(command_line(&command), r"qemu -append 'console=ttyS0 it'\''s' -m 256M");
    }
}
