//! KVM or emulation: proved by starting the guest, because a /dev/kvm that opens proves nothing. There are machines where
//! QEMU aborts on `-cpu host`, and others where a kernel never gets past its first messages.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::ValueEnum;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::{Deserialize, Serialize};

use crate::child::{Process, Ties};
use crate::cpu::Cpu;
use crate::failure::lacks;
use crate::provision::{Guest, cache_folder};
use crate::qemu::{Accelerator, QEMU};

/// What the guest's init says once it runs.
const MARKER: &str = "ivshmem-doorbell: guest is up";
/// Under KVM the guest is up in well under a second; a loaded machine may take several times that.
const DEADLINE: Duration = Duration::from_secs(6);
/// Lines of the console that a failed proof keeps.
const TAIL: usize = 8;

/// `--accel`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Accel {
    /// KVM if the guest comes up under it, else emulation.
    #[default]
    Auto,
    /// KVM or nothing.
    Kvm,
    /// Emulation.
    Tcg,
}

/// What was decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Choice {
    /// What the guest runs on.
    pub(crate) accelerator: Accelerator,
    /// Why, in one line for people.
    pub(crate) why: String,
}

impl Choice {
    fn kvm(why: String) -> Self {
        Self { accelerator: Accelerator::Kvm, why }
    }

    fn tcg(why: String) -> Self {
        Self { accelerator: Accelerator::Tcg, why }
    }
}

/// How an attempt to start the guest under KVM ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Proof {
    /// Its init spoke.
    Proved {
        /// From the start of QEMU.
        took: Duration,
    },
    /// It did not.
    Failed {
        /// What happened, in one line.
        reason: String,
        /// The last lines on the guest's console.
        console: Vec<String>,
    },
}

/// Decides what the guest runs on. Proofs are remembered until the machine boots or something that matters changes.
///
/// `--accel kvm` where the guest does not come up under KVM is an error: the machine lacks something.
pub(crate) fn choose(
    wanted: Accel,
    cpu: Option<&Cpu>,
    guest: &Guest,
    progress: &dyn Fn(&str),
) -> anyhow::Result<Choice> {
    let choice = decide(wanted, cpu, guest, progress)?;
    match cpu.filter(|cpu| cpu.needs_kvm() && choice.accelerator == Accelerator::Tcg) {
        Some(cpu) => Err(lacks(format!(
            "--cpu {cpu} needs KVM, and {}; use another model, such as --cpu max",
            choice.why.trim_start_matches("tcg: ")
        ))),
        None => Ok(choice),
    }
}

fn decide(wanted: Accel, cpu: Option<&Cpu>, guest: &Guest, progress: &dyn Fn(&str)) -> anyhow::Result<Choice> {
    if wanted == Accel::Tcg {
        return Ok(Choice::tcg("tcg: asked for".to_owned()));
    }
    let cpu = Cpu::or_default(cpu, Accelerator::Kvm);
    let circumstances = Circumstances::now(guest, &cpu);
    match Verdict::read().filter(|verdict| verdict.circumstances == circumstances).map(|verdict| verdict.failed) {
        Some(None) if open_kvm().is_ok() => {
            return Ok(Choice::kvm("kvm: proved earlier with this guest, since the last boot".to_owned()));
        }
        Some(Some(reason)) if wanted == Accel::Auto => {
            return Ok(Choice::tcg(format!("tcg: KVM failed earlier, since the last boot ({reason})")));
        }
        _ => {}
    }

    progress("proving KVM with the guest itself");
    match prove_kvm(guest, &cpu) {
        Proof::Proved { took } => {
            Verdict { circumstances, failed: None }.write();
            Ok(Choice::kvm(format!("kvm: the guest was up in {:.1} s", took.as_secs_f64())))
        }
        Proof::Failed { reason, console } => {
            // A device that does not open is looked at again each time: it costs nothing, and the cure needs no boot.
            if open_kvm().is_ok() {
                Verdict { circumstances, failed: Some(reason.clone()) }.write();
            }
            if wanted == Accel::Kvm {
                let console = console_text(&console);
                let cure = "use --accel tcg, or a machine with working KVM";
                return Err(lacks(format!("no guest under KVM: {reason}{console}\n{cure}")));
            }
            Ok(Choice::tcg(format!("tcg: no guest under KVM ({reason})")))
        }
    }
}

/// Starts the guest under KVM and waits until its init speaks, six seconds at most. Nothing is left running.
pub(crate) fn prove_kvm(guest: &Guest, cpu: &Cpu) -> Proof {
    let failed = |reason: String| Proof::Failed { reason, console: Vec::new() };
    if let Err(error) = open_kvm() {
        return failed(explain_kvm(&error));
    }
    let started = Instant::now();
    let mut errors = match tempfile::tempfile() {
        Ok(file) => file,
        Err(error) => return failed(format!("no temporary file: {error}")),
    };
    let (mut qemu, stdout) = match start(guest, cpu, &errors) {
        Ok(started) => started,
        Err(error) => return failed(format!("{error:#}")),
    };
    let mut console = Console::default();
    let ended = console.read_until_marker(stdout, started + DEADLINE);
    let reason = match ended {
        Ok(Ended::Marker) => return Proof::Proved { took: started.elapsed() },
        Ok(Ended::Deadline) => format!("it said nothing of being up within {} s", DEADLINE.as_secs()),
        Ok(Ended::Closed) => {
            let mut words = String::new();
            // What cannot be read is missing in the reason, no more.
            let _ = errors.rewind().and_then(|()| errors.read_to_string(&mut words));
            explain_exit(qemu.wait(Duration::from_secs(1)).ok().flatten(), &words)
        }
        Err(error) => format!("its console cannot be read: {error}"),
    };
    Proof::Failed { reason, console: console.tail() }
}

fn start(guest: &Guest, cpu: &Cpu, errors: &File) -> anyhow::Result<(Process, ChildStdout)> {
    let mut command = Command::new(QEMU);
    command
        // No second `-accel`: with one, QEMU would fall back without a word.
        .args(["-accel", "kvm", "-cpu", &cpu.to_string(), "-machine", "q35", "-m", "256M", "-smp", "1"])
        .args(["-nodefaults", "-no-user-config", "-display", "none", "-serial", "stdio", "-no-reboot"])
        .arg("-kernel")
        .arg(&guest.kernel)
        .arg("-initrd")
        .arg(&guest.initramfs)
        .args(["-append", "console=ttyS0 panic=-1 ivshmem.run=proof"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(errors.try_clone()?);
    let mut qemu = Process::start("qemu", &mut command, Ties::default())?;
    let stdout = qemu.take_stdout().context("no pipe to the guest's console")?;
    Ok((qemu, stdout))
}

#[derive(Debug, PartialEq, Eq)]
enum Ended {
    Marker,
    Deadline,
    Closed,
}

/// What the guest has said.
#[derive(Default)]
struct Console(Vec<u8>);

impl Console {
    fn read_until_marker(&mut self, mut stdout: ChildStdout, deadline: Instant) -> io::Result<Ended> {
        let mut buffer = [0; 4096];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(Ended::Deadline);
            }
            let timeout = Timespec::try_from(left).map_err(io::Error::other)?;
            match poll(&mut [PollFd::new(&stdout, PollFlags::IN)], Some(&timeout)) {
                Ok(0) | Err(rustix::io::Errno::INTR) => continue,
                Ok(_) => {}
                Err(error) => return Err(error.into()),
            }
            match stdout.read(&mut buffer)? {
                0 => return Ok(Ended::Closed),
                length => self.0.extend_from_slice(&buffer[..length]),
            }
            if self.text().contains(MARKER) {
                return Ok(Ended::Marker);
            }
        }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0).into_owned()
    }

    fn tail(&self) -> Vec<String> {
        let text = self.text();
        let lines: Vec<String> = text
            .lines()
            .map(|line| line.chars().filter(|character| !character.is_control()).collect::<String>())
            .filter(|line| !line.trim().is_empty())
            .collect();
        lines[lines.len().saturating_sub(TAIL)..].to_vec()
    }
}

fn open_kvm() -> io::Result<File> {
    OpenOptions::new().read(true).write(true).open("/dev/kvm")
}

/// Why /dev/kvm does not open, and the cure.
fn explain_kvm(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => {
            "no /dev/kvm: virtualization is off in the firmware, not passed on to this machine, or `modprobe kvm_intel` \
             (kvm_amd) is wanting"
                .to_owned()
        }
        io::ErrorKind::PermissionDenied => {
            "no access to /dev/kvm: join its group with `sudo usermod -aG kvm $USER`, then log in again".to_owned()
        }
        _ => format!("/dev/kvm does not open: {error}"),
    }
}

fn explain_exit(status: Option<ExitStatus>, words: &str) -> String {
    let how = match status {
        None => "QEMU closed the console".to_owned(),
        Some(status) => match (status.code(), status.signal()) {
            (_, Some(signal)) => format!("QEMU was ended by signal {signal}"),
            (Some(0), _) => "the guest ended".to_owned(),
            (code, _) => format!("QEMU ended with status {}", code.unwrap_or(-1)),
        },
    };
    // The first words name the cause; those behind are what followed from it.
    match words.lines().map(str::trim).find(|line| !line.is_empty()) {
        Some(first) => format!("{how}: {first}"),
        None => how,
    }
}

fn console_text(console: &[String]) -> String {
    if console.is_empty() { String::new() } else { format!("\nlast words on its console:\n  {}", console.join("\n  ")) }
}

/// All that a proof depends on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Circumstances {
    boot_id: String,
    qemu_version: String,
    kernel_release: String,
    kernel_version: String,
    cpu: String,
}

impl Circumstances {
    fn now(guest: &Guest, cpu: &Cpu) -> Self {
        let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        Self {
            boot_id: boot_id.trim().to_owned(),
            qemu_version: qemu_version().unwrap_or_default(),
            kernel_release: guest.kernel_release.clone(),
            kernel_version: guest.kernel_version.clone(),
            cpu: cpu.to_string(),
        }
    }
}

/// The first line of `qemu-system-x86_64 --version`.
pub(crate) fn qemu_version() -> Option<String> {
    let output = Command::new(QEMU).arg("--version").stdin(Stdio::null()).output().ok()?;
    Some(String::from_utf8_lossy(&output.stdout).lines().next()?.to_owned())
}

/// What is remembered of the last proof.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Verdict {
    circumstances: Circumstances,
    /// The reason, if it failed.
    failed: Option<String>,
}

impl Verdict {
    fn path() -> std::path::PathBuf {
        cache_folder().join("kvm.json")
    }

    fn read() -> Option<Self> {
        serde_json::from_slice(&fs::read(Self::path()).ok()?).ok()
    }

    /// One that cannot be written is found anew next time.
    fn write(&self) {
        if let Ok(text) = serde_json::to_vec_pretty(self) {
            let _ = fs::write(Self::path(), text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn console_of(script: &str, deadline: Duration) -> (Ended, Console) {
        let mut command = Command::new("sh");
        command.args(["-c", script]).stdout(Stdio::piped());
        let mut child = Process::start("sh", &mut command, Ties::default()).unwrap();
        let stdout = child.take_stdout().unwrap();
        let mut console = Console::default();
        let ended = console.read_until_marker(stdout, Instant::now() + deadline).unwrap();
        (ended, console)
    }

    #[test]
    fn the_marker_is_found_although_it_comes_in_two_parts() {
        let script = "printf 'boot\\nivshmem-doorbell: gue'; sleep 0.05; printf 'st is up\\n'; sleep 60";
        assert_eq!(console_of(script, Duration::from_secs(30)).0, Ended::Marker);
    }

    #[test]
    fn a_silent_guest_meets_the_deadline_and_is_killed() {
        assert_eq!(console_of("exec sleep 60", Duration::from_millis(50)).0, Ended::Deadline);
    }

    #[test]
    fn the_last_words_are_kept_without_control_characters() {
        let (ended, console) = console_of("printf '\\033[2Jone\\r\\n\\r\\n'; seq 20", Duration::from_secs(30));
        assert_eq!(ended, Ended::Closed);
        assert_eq!(console.tail().len(), TAIL);
        assert_eq!(console.tail().last().map(String::as_str), Some("20"));
        assert!(!console.tail().concat().contains('\u{1b}'));
    }

    #[test]
    fn the_reason_is_what_qemu_said_first() {
        let aborted = explain_exit(Some(ExitStatus::from_raw(6)), "\nerror: failed to set MSR\nAborted\n");
        assert_eq!(aborted, "QEMU was ended by signal 6: error: failed to set MSR");
        assert_eq!(explain_exit(Some(ExitStatus::from_raw(1 << 8)), ""), "QEMU ended with status 1");
    }

    #[test]
    fn each_refusal_of_the_device_names_its_own_cure() {
        assert!(explain_kvm(&io::ErrorKind::PermissionDenied.into()).contains("usermod"));
        assert!(explain_kvm(&io::ErrorKind::NotFound.into()).contains("modprobe"));
    }
}
