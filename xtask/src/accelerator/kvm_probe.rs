//! Starts a guest under KVM to find out whether KVM works.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bench_protocol::boot::{self, GUEST_IS_UP, RunMode};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::KvmProbe;
use crate::process::child::{Process, SpawnOptions};
use crate::provision::GuestImage;
use crate::signals::StopFlag;
use crate::timeouts::{format_duration, scaled};
use crate::vm::QEMU;
use crate::vm::cpu_model::CpuModel;

/// Console lines that a failed probe keeps.
const TAIL: usize = 8;
/// Interval of checking for Ctrl-C.
const PAUSE: Duration = Duration::from_millis(100);

/// Starts the guest under KVM, waits until its init runs, and ends it. Ctrl-C is an error.
pub(super) fn probe_kvm(
    guest: &GuestImage,
    cpu: &CpuModel,
    timeout: Duration,
    stop: &StopFlag,
) -> anyhow::Result<KvmProbe> {
    if let Err(error) = open_kvm() {
        return Ok(KvmProbe::Failed { reason: explain_kvm(&error), console: Vec::new(), waited: None });
    }
    let started = Instant::now();
    let mut errors = tempfile::tempfile().context("cannot create a temporary file")?;
    let (mut qemu, stdout) = start(guest, cpu, &errors)?;
    let mut console = ProbeConsole::default();
    let ended = console.read_until_marker(stdout, started + timeout, stop);
    stop.check()?;
    let waited = matches!(ended, Ok(ProbeEnd::Deadline)).then_some(timeout);
    let reason = match ended {
        Ok(ProbeEnd::Marker) => return Ok(KvmProbe::Works { took: started.elapsed() }),
        Ok(ProbeEnd::Deadline) => format!("the guest was not up within {}", format_duration(timeout)),
        Ok(ProbeEnd::Closed) => {
            let mut messages = String::new();
            // Best effort: without these messages the reason is shorter.
            let _ = errors.rewind().and_then(|()| errors.read_to_string(&mut messages));
            explain_exit(qemu.wait(scaled(Duration::from_secs(1))).ok().flatten(), &messages)
        }
        Err(error) => format!("cannot read its console: {error}"),
    };
    Ok(KvmProbe::Failed { reason, console: console.tail(), waited })
}

fn start(guest: &GuestImage, cpu: &CpuModel, errors: &File) -> anyhow::Result<(Process, ChildStdout)> {
    let mut command = Command::new(QEMU);
    command
        // With a second `-accel`, QEMU would silently fall back.
        .args(["-accel", "kvm", "-cpu", &cpu.to_string(), "-machine", "q35", "-m", "256M", "-smp", "1"])
        .args(["-nodefaults", "-no-user-config", "-display", "none", "-serial", "stdio", "-no-reboot"])
        .arg("-kernel")
        .arg(&guest.kernel)
        .arg("-initrd")
        .arg(&guest.initramfs)
        .args(["-append", &format!("console=ttyS0 panic=-1 {}", boot::parameter(boot::RUN, RunMode::Proof.name()))])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(errors.try_clone()?);
    let mut qemu = Process::start("qemu", &mut command, SpawnOptions::default())?;
    let stdout = qemu.take_stdout().context("no pipe to the guest's console")?;
    Ok((qemu, stdout))
}

#[derive(Debug, PartialEq, Eq)]
enum ProbeEnd {
    Marker,
    Deadline,
    Closed,
}

/// The guest's console output.
#[derive(Default)]
struct ProbeConsole(Vec<u8>);

impl ProbeConsole {
    fn read_until_marker(
        &mut self,
        mut stdout: ChildStdout,
        deadline: Instant,
        stop: &StopFlag,
    ) -> io::Result<ProbeEnd> {
        let mut buffer = [0; 4096];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || stop.check().is_err() {
                return Ok(ProbeEnd::Deadline);
            }
            let timeout = Timespec::try_from(left.min(PAUSE)).map_err(io::Error::other)?;
            match poll(&mut [PollFd::new(&stdout, PollFlags::IN)], Some(&timeout)) {
                Ok(0) | Err(rustix::io::Errno::INTR) => continue,
                Ok(_) => {}
                Err(error) => return Err(error.into()),
            }
            match stdout.read(&mut buffer)? {
                0 => return Ok(ProbeEnd::Closed),
                length => self.0.extend_from_slice(&buffer[..length]),
            }
            if self.text().contains(GUEST_IS_UP) {
                return Ok(ProbeEnd::Marker);
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

pub(super) fn open_kvm() -> io::Result<File> {
    OpenOptions::new().read(true).write(true).open("/dev/kvm")
}

/// The reason why /dev/kvm cannot be opened, with a hint.
fn explain_kvm(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => {
            "no /dev/kvm: enable virtualization in the firmware, or nested virtualization for this VM, or run `modprobe \
             kvm_intel` (kvm_amd)"
                .to_owned()
        }
        io::ErrorKind::PermissionDenied => {
            "no access to /dev/kvm: join its group with `sudo usermod -aG kvm $USER`, then log in again".to_owned()
        }
        _ => format!("cannot open /dev/kvm: {error}"),
    }
}

fn explain_exit(status: Option<ExitStatus>, messages: &str) -> String {
    let how = match status {
        None => "QEMU closed the console".to_owned(),
        Some(status) => match (status.code(), status.signal()) {
            (_, Some(signal)) => format!("QEMU was ended by signal {signal}"),
            (Some(0), _) => "the guest ended".to_owned(),
            (code, _) => format!("QEMU ended with status {}", code.unwrap_or(-1)),
        },
    };
    // The first line names the cause, later lines its consequences.
    match messages.lines().map(str::trim).find(|line| !line.is_empty()) {
        Some(first) => format!("{how}: {first}"),
        None => how,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn console_of(script: &str, deadline: Duration) -> (ProbeEnd, ProbeConsole) {
        let mut command = Command::new("sh");
        command.args(["-c", script]).stdout(Stdio::piped());
        let mut child = Process::start("sh", &mut command, SpawnOptions::default()).unwrap();
        let stdout = child.take_stdout().unwrap();
        let mut console = ProbeConsole::default();
        let ended = console.read_until_marker(stdout, Instant::now() + deadline, &StopFlag::never()).unwrap();
        (ended, console)
    }

    #[test]
    fn finds_the_marker_in_two_parts() {
        let script = "printf 'boot\\nivshmem-doorbell: gue'; sleep 0.05; printf 'st is up\\n'; sleep 60";
        assert_eq!(console_of(script, Duration::from_secs(30)).0, ProbeEnd::Marker);
    }

    #[test]
    fn silent_guest_is_killed_at_the_timeout() {
        assert_eq!(console_of("exec sleep 60", Duration::from_millis(50)).0, ProbeEnd::Deadline);
    }

    #[test]
    fn tail_has_no_control_characters() {
        let (ended, console) = console_of("printf '\\033[2Jone\\r\\n\\r\\n'; seq 20", Duration::from_secs(30));
        assert_eq!(ended, ProbeEnd::Closed);
        assert_eq!(console.tail().len(), TAIL);
        assert_eq!(console.tail().last().map(String::as_str), Some("20"));
        assert!(!console.tail().concat().contains('\u{1b}'));
    }

    #[test]
    fn reason_is_the_first_line_of_qemu() {
        let aborted = explain_exit(Some(ExitStatus::from_raw(6)), "\nerror: failed to set MSR\nAborted\n");
        assert_eq!(aborted, "QEMU was ended by signal 6: error: failed to set MSR");
        assert_eq!(explain_exit(Some(ExitStatus::from_raw(1 << 8)), ""), "QEMU ended with status 1");
    }

    #[test]
    fn each_device_error_has_its_own_hint() {
        assert!(explain_kvm(&io::ErrorKind::PermissionDenied.into()).contains("usermod"));
        assert!(explain_kvm(&io::ErrorKind::NotFound.into()).contains("modprobe"));
    }
}
