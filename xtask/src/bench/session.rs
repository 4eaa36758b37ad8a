//! A run's processes: the server, the guest, the initiator; watched until the plan is done or one of them fails.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use nix::sys::signal::Signal;
use report::plan::{Plan, QemuThreads};
use report::progress::Progress;

use super::machine::{Placement, bind_thread};
use super::progress::Steps;
use crate::child::{Process, Ties, log};
use crate::console::Console;
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
}

impl Session {
    /// Starts the server and then the guest.
    pub(super) fn start(server: &ServerOptions, qemu: &QemuOptions, out: &Path) -> anyhow::Result<Self> {
        let server = server.start(&out.join("server.log"))?;
        let console = out.join("console.log");
        let vm = qemu.start(&console, &out.join("qemu.log"))?;
        Ok(Self { vm, server, console: Console::new(&console) })
    }

    /// What really runs the guest, in its monitor's word.
    pub(super) fn prove(&mut self, expected: Accelerator) -> anyhow::Result<Accelerator> {
        let proved = if self.vm.qmp.is_kvm()? { Accelerator::Kvm } else { Accelerator::Tcg };
        anyhow::ensure!(
            proved == expected,
            "QEMU was to run the guest under {}, but its monitor says {}",
            expected.name(),
            proved.name()
        );
        Ok(proved)
    }

    pub(super) fn qemu_version(&mut self) -> anyhow::Result<String> {
        self.vm.qmp.version()
    }

    /// QEMU's threads.
    pub(super) fn threads(&mut self) -> anyhow::Result<QemuThreads> {
        Ok(QemuThreads { pid: self.vm.process.pid(), vcpus: self.vm.qmp.vcpus()? })
    }

    /// Keeps the first virtual CPU on its core; says who is where.
    pub(super) fn pin(&mut self, placement: Option<Placement>) -> String {
        let Some(Placement { host, vcpu }) = placement else { return "none".to_owned() };
        let bound = self.vm.qmp.vcpus().map(|threads| match threads.first() {
            Some(thread) => bind_thread(*thread, vcpu),
            None => Ok(()),
        });
        match bound {
            Ok(Ok(())) => format!("initiator on core {host}, first vCPU on core {vcpu}"),
            Ok(Err(error)) => format!("initiator on core {host}, vCPU free ({error})"),
            Err(error) => format!("initiator on core {host}, vCPU free ({error})"),
        }
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
        let limit = Duration::from_millis(plan.ready_timeout_ms) + SILENCE;
        let outcome =
            self.watch(&mut initiator, &events, steps, stop, limit).map_err(|error| explain(error, &log_path));
        if outcome.is_err() {
            // It writes what it has before it ends.
            nix::sys::signal::kill(nix::unistd::Pid::from_raw(initiator.pid().cast_signed()), Signal::SIGTERM).ok();
            initiator.wait(LAST_WORDS)?;
            return outcome;
        }
        match self.vm.process.wait(POWER_OFF)? {
            Some(status) if status.success() => Ok(()),
            Some(status) => bail!("QEMU ended with {status} after the last block; see qemu.log"),
            None => bail!("the guest did not power off within {POWER_OFF:?}; see console.log"),
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
            for event in events.try_iter() {
                last_word = Instant::now();
                match event {
                    Progress::Ready { .. } => steps.say("measuring"),
                    Progress::Block { done, of } => steps.blocks(done, of),
                }
            }
            stop.check()?;
            if let Some(status) = initiator.ended()? {
                for event in events {
                    if let Progress::Block { done, of } = event {
                        steps.blocks(done, of);
                    }
                }
                return self.judge(status);
            }
            if let Some(reason) = self.console.fatal() {
                bail!("the guest failed: {reason}");
            }
            if let Some(status) = self.vm.process.ended()? {
                bail!("QEMU ended in mid run ({status}); the guest's last words:\n{}", self.console.tail());
            }
            if let Some(status) = self.server.process.ended()? {
                bail!("ivshmem-server ended in mid run ({status}); see server.log");
            }
            if last_word.elapsed() > limit {
                bail!("host-peer has said nothing for {limit:?}; the guest's last words:\n{}", self.console.tail());
            }
            thread::sleep(PAUSE);
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
        if let Some(server) = self.server.process.wait(Duration::from_millis(100))? {
            bail!("ivshmem-server ended in mid run ({server}); see server.log");
        }
        if let Some(qemu) = self.vm.process.wait(Duration::from_millis(200))?
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
