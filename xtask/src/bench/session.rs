//! Starts a run's processes (server, guest, initiator) and watches them until the plan is done or one of them fails.

use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use bench_model::pinning::ThreadName;
use bench_model::progress::Progress;
use bench_model::{Pinning, Plan, QemuThreads};
use cli_common::exit_description;
use nix::sys::signal::Signal;

use super::host_info::bind_thread;
use super::plan::longest_block;
use super::progress::ProgressUi;
use crate::process::captured_output::{CapturedOutput, LoggedProcess};
use crate::process::child::{Process, SpawnOptions};
use crate::signals::StopFlag;
use crate::timeouts::scaled;
use crate::vm::guest_console::{GuestConsole, last_lines};
use crate::vm::qemu::{QemuOptions, Vm};
use crate::vm::server::{ServerOptions, ServerProcess};
use bench_model::Accelerator;

/// Interval of checking the processes.
const PAUSE: Duration = Duration::from_millis(20);
/// Time limit for the guest to power off after the last block.
const POWER_OFF: Duration = Duration::from_secs(15);
/// Time limit for the initiator to write its measurements after an abort.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(5);
/// Time limit without progress of the initiator. Its own timeouts are shorter; this one catches a stuck initiator.
const STALL_TIMEOUT: Duration = Duration::from_secs(180);

/// A server and its guest. Dropping it ends both, the guest first.
#[derive(Debug)]
pub(super) struct BenchSession {
    pub(super) vm: Vm,
    server: ServerProcess,
    console: GuestConsole,
    /// The accelerator that QEMU's monitor reported last: after the last block of a complete run.
    pub(super) seen: Option<Accelerator>,
    /// Whether the initiator has finished the last block.
    is_measured: bool,
}

impl BenchSession {
    /// Starts the server and then the guest.
    pub(super) fn start(server: &ServerOptions, qemu: &QemuOptions, out: &Path) -> anyhow::Result<Self> {
        handle_file_size_limit()?;
        let server = server.start(&out.join("server.log"))?;
        let console = out.join("console.log");
        let vm = qemu.start(&console, &out.join("qemu.log"))?;
        Ok(Self { vm, server, console: GuestConsole::new(&console), seen: None, is_measured: false })
    }

    /// Asks QEMU's monitor for the accelerator, and fails if it is not the expected one.
    pub(super) fn verify_accelerator(&mut self, expected: Accelerator) -> anyhow::Result<()> {
        let reported = self.ask_accelerator()?;
        anyhow::ensure!(
            reported == expected,
            "QEMU should run the guest under {}, but its monitor reports {}",
            expected.name(),
            reported.name()
        );
        Ok(())
    }

    fn ask_accelerator(&mut self) -> anyhow::Result<Accelerator> {
        let seen = if self.vm.qmp.is_kvm()? { Accelerator::Kvm } else { Accelerator::Tcg };
        self.seen = Some(seen);
        Ok(seen)
    }

    /// QEMU's threads.
    pub(super) fn threads(&mut self) -> anyhow::Result<QemuThreads> {
        Ok(QemuThreads { pid: self.vm.process.pid(), vcpus: self.vm.qmp.vcpus()? })
    }

    /// Pins QEMU's threads. The initiator pins itself.
    pub(super) fn pin(&mut self, pinning: &Pinning) -> anyhow::Result<()> {
        let QemuThreads { pid, vcpus } = self.threads()?;
        for (name, cpu) in pinning.threads() {
            let thread = match name {
                ThreadName::Host => None,
                ThreadName::Vcpu(index) => {
                    Some(*vcpus.get(index).context("the guest has fewer CPUs than --pin names")?)
                }
                ThreadName::MainLoop => Some(pid),
            };
            if let Some(thread) = thread {
                bind_thread(thread, cpu)
                    .with_context(|| format!("cannot pin {name} to CPU {cpu}; try --pin none, or another CPU"))?;
            }
        }
        Ok(())
    }

    /// Runs the initiator until the plan is done. Returns the first failure.
    pub(super) fn measure(
        &mut self,
        mut initiator: Command,
        out: &Path,
        plan: &Plan,
        steps: &ProgressUi,
        stop: &StopFlag,
    ) -> anyhow::Result<()> {
        steps.status("waiting for the guest");
        let ties = SpawnOptions { parent_death_signal: Some(Signal::SIGTERM), ..SpawnOptions::default() };
        let log = out.join("host-peer.log");
        let mut initiator = LoggedProcess::start("host-peer", initiator.stdout(Stdio::piped()), ties, &log)?;
        let events = events(&mut initiator.process)?;
        let limit = Duration::from_millis(plan.ready_timeout_ms) + scaled(STALL_TIMEOUT) + longest_block(&plan.blocks);
        let outcome = self.watch(&mut initiator, &events, steps, stop, limit);
        if outcome.is_err() {
            // On SIGTERM it writes its measurements.
            let pid = nix::unistd::Pid::from_raw(initiator.process.pid().cast_signed());
            nix::sys::signal::kill(pid, Signal::SIGTERM).ok();
            initiator.process.wait(scaled(FLUSH_TIMEOUT))?;
        }
        let outputs = [&self.server.output, &self.vm.output, &initiator.output];
        for unwritten in outputs.into_iter().filter_map(CapturedOutput::unwritten) {
            steps.note(&format!("warning: {unwritten}"));
        }
        outcome?;
        match self.vm.process.wait(scaled(POWER_OFF))? {
            Some(status) if status.success() => Ok(()),
            Some(_) => bail!("{} after the last block", self.qemu_ended()?),
            None => bail!("the guest did not power off within {:?}; see console.log", scaled(POWER_OFF)),
        }
    }

    /// How QEMU ended, with the last lines of QEMU and of the guest.
    fn qemu_ended(&mut self) -> anyhow::Result<String> {
        let how =
            self.vm.process.exit_status()?.map_or_else(|| "is still running".to_owned(), exit_description::describe);
        let own = last_lines(&self.vm.output.rest(), LINES);
        let own = if own.is_empty() { String::new() } else { format!("\n{own}") };
        Ok(format!("QEMU {how}{own}\n{}", self.guest_console()))
    }

    /// The end of the guest's console.
    fn guest_console(&self) -> String {
        let tail = self.console.tail();
        if tail.is_empty() {
            "the guest's console is empty".to_owned()
        } else {
            format!("the guest's console ends with:\n{tail}")
        }
    }

    fn watch(
        &mut self,
        initiator: &mut LoggedProcess,
        events: &Receiver<Progress>,
        steps: &ProgressUi,
        stop: &StopFlag,
        limit: Duration,
    ) -> anyhow::Result<()> {
        let mut last_progress = Instant::now();
        loop {
            // Waits for events instead of sleeping: QEMU must be asked before the guest has powered off.
            let waited = Instant::now();
            if let Ok(event) = events.recv_timeout(PAUSE) {
                last_progress = Instant::now();
                self.on_progress(&event, steps);
            } else {
                // The channel is closed, and recv_timeout returned early.
                thread::sleep(PAUSE.saturating_sub(waited.elapsed()));
            }
            stop.check()?;
            if let Some(status) = initiator.process.exit_status()? {
                for event in events {
                    self.on_progress(&event, steps);
                }
                return self.check_exit(status, &initiator.output);
            }
            if let Some(reason) = self.console.fatal() {
                bail!("the guest failed: {reason}");
            }
            if let Some(status) = self.vm.process.exit_status()?
                && !self.has_finished(status, events, steps)
            {
                bail!("{}", self.qemu_ended()?);
            }
            if let Some(status) = self.server.process.exit_status()? {
                bail!("{}", self.server_ended(status));
            }
            if last_progress.elapsed() > limit {
                bail!("host-peer made no progress for {limit:?}; {}", self.guest_console());
            }
        }
    }

    /// Whether the guest has powered off after the last block. The initiator may still be writing.
    fn has_finished(&mut self, status: ExitStatus, events: &Receiver<Progress>, steps: &ProgressUi) -> bool {
        for event in events.try_iter() {
            self.on_progress(&event, steps);
        }
        self.is_measured && status.success()
    }

    /// Handles a progress event of the initiator.
    fn on_progress(&mut self, event: &Progress, steps: &ProgressUi) {
        match *event {
            Progress::Ready { .. } => steps.start_blocks(),
            Progress::Block { done, of } => {
                steps.blocks(done, of);
                if done == of {
                    self.is_measured = true;
                    // Not earlier: the question occupies QEMU's main loop. An error is ignored, because QEMU was also asked
                    // at the start.
                    let _ = self.ask_accelerator();
                }
            }
        }
    }

    /// The outcome of a run, from the initiator's exit status.
    fn check_exit(&mut self, status: ExitStatus, output: &CapturedOutput) -> anyhow::Result<()> {
        if status.success() {
            return Ok(());
        }
        // If the guest or the server ended first, that caused the initiator's error.
        if let Some(reason) = self.console.fatal() {
            bail!("the guest failed: {reason}");
        }
        if let Some(server) = self.server.process.wait(scaled(Duration::from_millis(100)))? {
            bail!("{}", self.server_ended(server));
        }
        if let Some(qemu) = self.vm.process.wait(scaled(Duration::from_millis(200)))?
            && !qemu.success()
        {
            bail!("{}", self.qemu_ended()?);
        }
        bail!("{}", initiator_failed(status, &output.rest()))
    }

    fn server_ended(&self, status: ExitStatus) -> String {
        let how = format!("ivshmem-server {} during the run", exit_description::describe(status));
        let own = last_lines(&self.server.output.rest(), LINES);
        if own.is_empty() { how } else { format!("{how}; its log ends with:\n{own}") }
    }
}

/// Makes a write beyond the file size limit (`ulimit -f`) fail with EFBIG instead of killing the process by SIGXFSZ.
fn handle_file_size_limit() -> anyhow::Result<()> {
    let handled = signal_hook::flag::register(Signal::SIGXFSZ as i32, Arc::default());
    handled.map(drop).context("cannot handle SIGXFSZ")
}

/// Lines of a log that an error shows.
const LINES: usize = 5;

/// The cause of an initiator's failure: its signal, its error, its panic, or the last lines of its log.
fn initiator_failed(status: ExitStatus, stderr: &str) -> String {
    let how = format!("host-peer {}", exit_description::describe(status));
    if let Some(panic) = stderr.find("panicked at ") {
        let lines: Vec<&str> = stderr[panic..].lines().take(2).map(str::trim).collect();
        return format!("host-peer {}; this is a bug in host-peer", lines.join(" "));
    }
    // A killed process could not write a reason.
    if status.signal().is_some() {
        return how;
    }
    match (stderr.lines().rev().find_map(|line| line.strip_prefix("host-peer: ")), last_lines(stderr, LINES)) {
        (Some(reason), _) => reason.to_owned(),
        (None, lines) if lines.is_empty() => format!("{how} and wrote no message"),
        (None, lines) => format!("{how}; its log ends with:\n{lines}"),
    }
}

/// The initiator's command.
pub(super) fn initiator(program: &Path, out: &Path) -> Command {
    let mut command = Command::new(program);
    command.arg("bench").arg("--plan").arg(out.join("plan.json")).arg("--out").arg(out);
    command
}

/// Reads the events on the initiator's stdout in a thread.
fn events(initiator: &mut Process) -> anyhow::Result<Receiver<Progress>> {
    let stdout = initiator.take_stdout().context("the initiator's stdout was not piped")?;
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if let Ok(event) = serde_json::from_str(&line)
                && sender.send(event).is_err()
            {
                return;
            }
        }
    });
    Ok(receiver)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(status: i32, stderr: &str) -> String {
        initiator_failed(ExitStatus::from_raw(status), stderr)
    }

    #[test]
    fn reason_is_the_error_of_the_initiator() {
        let log = "WARN something\nhost-peer: cannot write /full/samples.csv: No space left on device (os error 28)\n";
        assert_eq!(failed(1 << 8, log), "cannot write /full/samples.csv: No space left on device (os error 28)");
    }

    #[test]
    fn killed_initiator_is_named_with_its_signal() {
        let killed = "host-peer was killed by signal 9 (SIGKILL). Hint: out-of-memory killer? See dmesg";
        assert_eq!(failed(9, ""), killed);
        assert_eq!(failed(9, "WARN something earlier\n"), killed);
    }

    #[test]
    fn panic_is_named_with_its_location_and_message() {
        let log = "\nthread 'main' (77) panicked at crates/initiator/src/block.rs:7:9:\nno spin\nnote: run with\n";
        let panicked = "host-peer panicked at crates/initiator/src/block.rs:7:9: no spin; this is a bug in host-peer";
        assert_eq!(failed(101 << 8, log), panicked);
        assert_eq!(failed(6, log), panicked, "a panic that aborts");
    }

    #[test]
    fn silent_initiator_is_named_with_its_status() {
        assert_eq!(failed(3 << 8, ""), "host-peer exited with status 3 and wrote no message");
        assert_eq!(failed(3 << 8, "a\n\nb\n"), "host-peer exited with status 3; its log ends with:\na\nb");
    }
}
