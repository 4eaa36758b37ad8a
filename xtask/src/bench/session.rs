//! A run's processes: the server, the guest, the initiator; watched until the plan is done or one of them fails.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use nix::sys::signal::Signal;
use report::pinning::ThreadName;
use report::plan::{Pinning, Plan, QemuThreads};
use report::progress::Progress;

use super::machine::bind_thread;
use super::plan::longest_block;
use super::progress::Steps;
use crate::child::{Process, Ties, log};
use crate::console::Console;
use crate::deadline::scaled;
use crate::qemu::{Accelerator, QemuOptions, Vm};
use crate::server::{Server, ServerOptions};
use crate::stop::Stop;

/// Between two looks at the processes.
const PAUSE: Duration = Duration::from_millis(20);
/// How long the guest may take to power off after the last block.
const POWER_OFF: Duration = Duration::from_secs(15);
/// How long the initiator may take to write what it has, once the run is broken off.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// How long the initiator may say nothing: its own deadlines are shorter, this one is for an initiator that is stuck.
const SILENCE: Duration = Duration::from_secs(180);

/// A server with a guest on it. Dropping it ends both, the guest first.
#[derive(Debug)]
pub(super) struct Session {
    vm: Vm,
    server: Server,
    console: Console,
    /// What the monitor said of the accelerator when it was asked last.
    seen: Option<Accelerator>,
    /// Whether the initiator has said that the last block is done.
    measured: bool,
}

impl Session {
    /// Starts the server and then the guest.
    pub(super) fn start(server: &ServerOptions, qemu: &QemuOptions, out: &Path) -> anyhow::Result<Self> {
        let server = server.start(&out.join("server.log"))?;
        let console = out.join("console.log");
        let vm = qemu.start(&console, &out.join("qemu.log"))?;
        Ok(Self { vm, server, console: Console::new(&console), seen: None, measured: false })
    }

    /// What really runs the guest, in its monitor's word.
    pub(super) fn prove(&mut self, expected: Accelerator) -> anyhow::Result<Accelerator> {
        let proved = self.ask_accelerator()?;
        anyhow::ensure!(
            proved == expected,
            "QEMU was to run the guest under {}, but its monitor says {}",
            expected.name(),
            proved.name()
        );
        Ok(proved)
    }

    fn ask_accelerator(&mut self) -> anyhow::Result<Accelerator> {
        let seen = if self.vm.qmp.is_kvm()? { Accelerator::Kvm } else { Accelerator::Tcg };
        self.seen = Some(seen);
        Ok(seen)
    }

    /// What the monitor said when it was asked last: after the last block of a run that came so far.
    pub(super) fn seen(&self) -> Option<Accelerator> {
        self.seen
    }

    pub(super) fn qemu_version(&mut self) -> anyhow::Result<String> {
        self.vm.qmp.version()
    }

    /// QEMU's threads.
    pub(super) fn threads(&mut self) -> anyhow::Result<QemuThreads> {
        Ok(QemuThreads { pid: self.vm.process.pid(), vcpus: self.vm.qmp.vcpus()? })
    }

    /// Keeps QEMU's threads on their CPUs. The initiator goes to its own.
    pub(super) fn pin(&mut self, pinning: &Pinning) -> anyhow::Result<()> {
        let QemuThreads { pid, vcpus } = self.threads()?;
        for (name, cpu) in pinning.threads() {
            let thread = match name {
                ThreadName::Host => None,
                ThreadName::Vcpu(index) => Some(*vcpus.get(index).context("the guest has fewer CPUs than are pinned")?),
                ThreadName::MainLoop => Some(pid),
            };
            if let Some(thread) = thread {
                bind_thread(thread, cpu)
                    .with_context(|| format!("cannot keep {name} on CPU {cpu}; try --pin none, or another CPU"))?;
            }
        }
        Ok(())
    }

    /// Runs the initiator until the plan is done. Whatever fails first is the error.
    pub(super) fn measure(
        &mut self,
        mut initiator: Command,
        out: &Path,
        plan: &Plan,
        steps: &Steps,
        stop: &Stop,
    ) -> anyhow::Result<()> {
        steps.say("waiting for the guest");
        let log_path = out.join("host-peer.log");
        initiator.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log(&log_path)?);
        let ties = Ties { on_death: Some(Signal::SIGTERM), ..Ties::default() };
        let mut initiator = Process::start("host-peer", &mut initiator, ties)?;
        let events = events(&mut initiator)?;
        let limit = Duration::from_millis(plan.ready_timeout_ms) + scaled(SILENCE) + longest_block(&plan.blocks);
        let outcome =
            self.watch(&mut initiator, &events, steps, stop, limit).map_err(|error| explain(error, &log_path));
        if outcome.is_err() {
            // It writes what it has before it ends.
            nix::sys::signal::kill(nix::unistd::Pid::from_raw(initiator.pid().cast_signed()), Signal::SIGTERM).ok();
            initiator.wait(scaled(LAST_WORDS))?;
            return outcome;
        }
        match self.vm.process.wait(scaled(POWER_OFF))? {
            Some(status) if status.success() => Ok(()),
            Some(status) => bail!("QEMU ended with {status} after the last block; see qemu.log"),
            None => bail!("the guest did not power off within {:?}; see console.log", scaled(POWER_OFF)),
        }
    }

    fn watch(
        &mut self,
        initiator: &mut Process,
        events: &Receiver<Progress>,
        steps: &Steps,
        stop: &Stop,
        limit: Duration,
    ) -> anyhow::Result<()> {
        let mut last_word = Instant::now();
        loop {
            // Waiting for its word instead of sleeping, so that QEMU is asked before the guest can have powered off.
            let waited = Instant::now();
            if let Ok(event) = events.recv_timeout(PAUSE) {
                last_word = Instant::now();
                self.hear(&event, steps);
            } else {
                // Nobody is left to wait for once the initiator has closed its end.
                thread::sleep(PAUSE.saturating_sub(waited.elapsed()));
            }
            stop.check()?;
            if let Some(status) = initiator.ended()? {
                for event in events {
                    self.hear(&event, steps);
                }
                return self.judge(status);
            }
            if let Some(reason) = self.console.fatal() {
                bail!("the guest failed: {reason}");
            }
            if let Some(status) = self.vm.process.ended()?
                && !self.has_finished(status, events, steps)
            {
                bail!("QEMU ended in mid run ({status}); the guest's last words:\n{}", self.console.tail());
            }
            if let Some(status) = self.server.process.ended()? {
                bail!("ivshmem-server ended in mid run ({status}); see server.log");
            }
            if last_word.elapsed() > limit {
                bail!("host-peer has said nothing for {limit:?}; the guest's last words:\n{}", self.console.tail());
            }
        }
    }

    /// Whether the guest has powered off because all is measured: the initiator may still be writing down what it has.
    fn has_finished(&mut self, status: ExitStatus, events: &Receiver<Progress>, steps: &Steps) -> bool {
        for event in events.try_iter() {
            self.hear(&event, steps);
        }
        self.measured && status.success()
    }

    /// What the initiator says meanwhile.
    fn hear(&mut self, event: &Progress, steps: &Steps) {
        match *event {
            Progress::Ready { .. } => steps.say("measuring"),
            Progress::Block { done, of } => {
                steps.blocks(done, of);
                if done == of {
                    self.measured = true;
                    // Asking takes QEMU's main loop, which would be in a block's figures before. A QEMU that is gone
                    // by now has been asked when it started.
                    let _ = self.ask_accelerator();
                }
            }
        }
    }

    /// What the initiator's end means.
    fn judge(&mut self, status: ExitStatus) -> anyhow::Result<()> {
        if status.success() {
            return Ok(());
        }
        // Its error is in host-peer.log; but where the guest or the server went first, that is the reason.
        if let Some(reason) = self.console.fatal() {
            bail!("the guest failed: {reason}");
        }
        if let Some(server) = self.server.process.wait(scaled(Duration::from_millis(100)))? {
            bail!("ivshmem-server ended in mid run ({server}); see server.log");
        }
        if let Some(qemu) = self.vm.process.wait(scaled(Duration::from_millis(200)))?
            && !qemu.success()
        {
            bail!("QEMU ended in mid run ({qemu}); the guest's last words:\n{}", self.console.tail());
        }
        Err(InitiatorFailed.into())
    }
}

/// The initiator failed for a reason of its own, which its log holds.
#[derive(Debug, thiserror::Error)]
#[error("host-peer failed")]
struct InitiatorFailed;

/// Puts the initiator's own words in the place of "failed".
fn explain(error: anyhow::Error, log: &Path) -> anyhow::Error {
    if !error.is::<InitiatorFailed>() {
        return error;
    }
    let said = std::fs::read_to_string(log).unwrap_or_default();
    match said.lines().rev().find_map(|line| line.strip_prefix("host-peer: ")) {
        Some(reason) => anyhow::anyhow!("{reason}"),
        None => anyhow::anyhow!("host-peer failed without a word; its log is {}", log.display()),
    }
}

/// The initiator's command.
pub(super) fn initiator(program: &Path, out: &Path) -> Command {
    let mut command = Command::new(program);
    command.arg("bench").arg("--plan").arg(out.join("plan.json")).arg("--out").arg(out);
    command
}

/// The initiator's stdout, line by line, read by a thread of its own.
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
