//! Starts a guest under KVM to find out whether KVM works.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bench_model::Accelerator;
use bench_protocol::boot::{self, GUEST_IS_UP, RunMode};
use humantime::format_duration;

use super::KvmProbe;
use crate::process::captured_output::LoggedProcess;
use crate::process::child::SpawnOptions;
use crate::provision::GuestImage;
use crate::signals::StopFlag;
use crate::vm::cpu_model::CpuModel;
use crate::vm::guest_console::GuestConsole;
use crate::vm::qemu::QemuOptions;

/// Interval of reading the console.
const PAUSE: Duration = Duration::from_millis(20);

/// Starts the guest under KVM, waits until its init runs, and ends it. Ctrl-C is an error.
pub(super) fn probe_kvm(
    guest: &GuestImage,
    cpu: &CpuModel,
    timeout: Duration,
    stop: &StopFlag,
) -> anyhow::Result<KvmProbe> {
    if let Err(error) = open_kvm() {
        return Ok(KvmProbe::Failed { reason: explain_kvm(&error), console: String::new(), waited: None });
    }
    let folder = tempfile::tempdir().context("cannot create a temporary directory")?;
    let console_path = folder.path().join("console.log");
    let console = GuestConsole::new(&console_path);
    let qemu = QemuOptions {
        accelerator: Accelerator::Kvm,
        cpu: Some(cpu.clone()),
        cpus: 1,
        memory: "256M".to_owned(),
        kernel: guest.kernel.image.clone(),
        initramfs: guest.initramfs.clone(),
        append: boot::parameter(boot::RUN, RunMode::Proof.name()),
        device: None,
        iommu: false,
    };
    let mut command = qemu.command_with_console(&console_path);
    let started = Instant::now();
    let log = folder.path().join("qemu.log");
    let mut qemu = LoggedProcess::start("qemu", command.stdout(Stdio::null()), SpawnOptions::default(), &log)?;
    Ok(match wait_until_up(&mut qemu, &console, timeout, stop)? {
        ProbeEnd::Up => KvmProbe::Works { took: started.elapsed() },
        ProbeEnd::Timeout => {
            let reason = format!("the guest was not up within {}", format_duration(timeout));
            KvmProbe::Failed { reason, console: console.tail(), waited: Some(timeout) }
        }
        ProbeEnd::Exited(status) => {
            let reason = explain_exit(status, &qemu.output.rest());
            KvmProbe::Failed { reason, console: console.tail(), waited: None }
        }
        ProbeEnd::Stopped(message) => {
            let reason = format!("QEMU stopped the guest: {message}");
            KvmProbe::Failed { reason, console: console.tail(), waited: None }
        }
    })
}

#[derive(Debug, PartialEq, Eq)]
enum ProbeEnd {
    Up,
    Timeout,
    Exited(ExitStatus),
    /// KVM cannot execute the guest's code, with QEMU's message. QEMU then stops the guest and does not end.
    Stopped(String),
}

/// The start of QEMU's message when KVM returns `KVM_EXIT_INTERNAL_ERROR` (`kvm_handle_internal_error` in its
/// accel/kvm/kvm-all.c).
const INTERNAL_ERROR: &str = "KVM internal error";

fn wait_until_up(
    qemu: &mut LoggedProcess,
    console: &GuestConsole,
    timeout: Duration,
    stop: &StopFlag,
) -> anyhow::Result<ProbeEnd> {
    let started = Instant::now();
    loop {
        stop.check()?;
        // Before the console is read: the guest may print the line and end.
        let ended = qemu.process.exit_status()?;
        if console.text().contains(GUEST_IS_UP) {
            return Ok(ProbeEnd::Up);
        }
        if let Some(status) = ended {
            return Ok(ProbeEnd::Exited(status));
        }
        if let Some(message) = qemu.output.text().lines().find(|line| line.starts_with(INTERNAL_ERROR)) {
            return Ok(ProbeEnd::Stopped(message.to_owned()));
        }
        if started.elapsed() >= timeout {
            return Ok(ProbeEnd::Timeout);
        }
        sleep(PAUSE);
    }
}

pub(super) fn open_kvm() -> io::Result<File> {
    OpenOptions::new().read(true).write(true).open("/dev/kvm")
}

/// The reason why /dev/kvm cannot be opened, with a hint.
pub(super) fn explain_kvm(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => {
            "no /dev/kvm: enable virtualization in the firmware, or nested virtualization for this VM, or run `modprobe \
             kvm_intel` or `modprobe kvm_amd`"
                .to_owned()
        }
        io::ErrorKind::PermissionDenied => {
            "no access to /dev/kvm: join its group with `sudo usermod -aG kvm $USER`, then log in again".to_owned()
        }
        _ => format!("cannot open /dev/kvm: {error}"),
    }
}

fn explain_exit(status: ExitStatus, messages: &str) -> String {
    let how = match (status.code(), status.signal()) {
        (_, Some(signal)) => format!("QEMU was ended by signal {signal}"),
        (Some(0), _) => "the guest ended".to_owned(),
        (code, _) => format!("QEMU ended with status {}", code.unwrap_or(-1)),
    };
    // The first line names the cause, later lines its consequences.
    match messages.lines().map(str::trim).find(|line| !line.is_empty()) {
        Some(first) => format!("{how}: {first}"),
        None => how,
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// Waits for a shell that stands for QEMU. `$0` is the console.
    fn end_of(script: &str, timeout: Duration) -> ProbeEnd {
        let console = tempfile::NamedTempFile::new().unwrap();
        let log = tempfile::NamedTempFile::new().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", script]).arg(console.path());
        let mut child = LoggedProcess::start("sh", &mut command, SpawnOptions::default(), log.path()).unwrap();
        wait_until_up(&mut child, &GuestConsole::new(console.path()), timeout, &StopFlag::never()).unwrap()
    }

    #[test]
    fn finds_the_marker_in_two_parts() {
        let script = "printf 'boot\\nivshmem-doorbell: gue' >> $0; sleep 0.05; printf 'st is up\\n' >> $0; sleep 60";
        assert_eq!(end_of(script, Duration::from_secs(30)), ProbeEnd::Up);
        assert_eq!(end_of("echo ivshmem-doorbell: guest is up > $0", Duration::from_secs(30)), ProbeEnd::Up);
    }

    #[test]
    fn silent_guest_is_killed_at_the_timeout() {
        assert_eq!(end_of("exec sleep 60", Duration::from_millis(50)), ProbeEnd::Timeout);
    }

    #[test]
    fn end_without_the_marker_has_the_exit_status() {
        let ended = end_of("echo boot > $0; exit 3", Duration::from_secs(30));
        assert_eq!(ended, ProbeEnd::Exited(ExitStatus::from_raw(3 << 8)));
    }

    #[test]
    fn stopped_guest_ends_the_wait_with_the_message() {
        let ended = end_of("echo 'KVM internal error. Suberror: 1' >&2; exec sleep 60", Duration::from_secs(30));
        assert_eq!(ended, ProbeEnd::Stopped("KVM internal error. Suberror: 1".to_owned()));
    }

    #[test]
    fn reason_is_the_first_line_of_qemu() {
        let aborted = explain_exit(ExitStatus::from_raw(6), "\nerror: failed to set MSR\nAborted\n");
        assert_eq!(aborted, "QEMU was ended by signal 6: error: failed to set MSR");
        assert_eq!(explain_exit(ExitStatus::from_raw(1 << 8), ""), "QEMU ended with status 1");
    }

    #[test]
    fn each_device_error_has_its_own_hint() {
        assert!(explain_kvm(&io::ErrorKind::PermissionDenied.into()).contains("usermod"));
        assert!(explain_kvm(&io::ErrorKind::NotFound.into()).contains("modprobe"));
    }
}
