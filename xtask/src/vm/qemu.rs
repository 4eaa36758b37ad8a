//! Starts QEMU with direct kernel boot and an ivshmem device.

use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context;

use crate::process::captured_output::{CapturedOutput, LoggedProcess};
use crate::process::child::{Process, SpawnOptions};
use crate::vm::QEMU;
use crate::vm::cpu_model::CpuModel;
use crate::vm::qmp::Qmp;
use crate::vm::server::socket_pair;
use bench_model::Accelerator;

/// The ivshmem device and its backend.
#[derive(Debug, Clone)]
pub(crate) enum Ivshmem {
    /// `ivshmem-doorbell` with a server's socket.
    Doorbell { socket: PathBuf, vectors: u16 },
    /// `ivshmem-plain` with a file that the host also maps.
    Plain { file: PathBuf, bytes: u64 },
}

/// A guest.
#[derive(Debug, Clone)]
pub(crate) struct QemuOptions {
    pub(crate) accelerator: Accelerator,
    /// `-cpu`; `None`: the most capable model of the accelerator.
    pub(crate) cpu: Option<CpuModel>,
    pub(crate) cpus: usize,
    pub(crate) memory: String,
    pub(crate) kernel: PathBuf,
    pub(crate) initramfs: PathBuf,
    /// The kernel's command line, without the console.
    pub(crate) append: String,
    pub(crate) device: Option<Ivshmem>,
    /// Whether the devices are behind an IOMMU with interrupt remapping, which VFIO in the guest requires.
    pub(crate) iommu: bool,
}

impl QemuOptions {
    /// The command without console and monitor.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(QEMU);
        command.args(["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"]);
        if self.iommu {
            // The IOMMU must precede the devices behind it. Interrupt remapping needs QEMU's own interrupt controller.
            command.args(["-machine", "q35,kernel-irqchip=split", "-device", "intel-iommu,intremap=on"]);
        } else {
            command.args(["-machine", "q35"]);
        }
        let cpu = CpuModel::or_default(self.cpu.as_ref(), self.accelerator).to_string();
        match self.accelerator {
            // With a second `-accel`, QEMU would silently fall back.
            Accelerator::Kvm => command.args(["-accel", "kvm", "-cpu", &cpu, "-smp", &self.cpus.to_string()]),
            // With one possible CPU, TCG omits memory barriers and atomicity, because no other vCPU could observe them. A
            // host process can. A second possible CPU keeps them.
            Accelerator::Tcg => {
                let smp = format!("{},maxcpus={}", self.cpus, self.cpus.max(2));
                command.args(["-accel", "tcg", "-cpu", &cpu, "-smp", &smp])
            }
        };
        command.args(["-m", &self.memory]).arg("-kernel").arg(&self.kernel).arg("-initrd").arg(&self.initramfs);
        // With two possible CPUs, TCG does not report a constant TSC, and Linux would use a slower clock. The TSC is the
        // host's, so it is reliable. The timer check at boot would panic if QEMU is not scheduled for some milliseconds.
        let clock = if self.accelerator == Accelerator::Tcg { "tsc=reliable no_timer_check " } else { "" };
        let iommu = if self.iommu { "intel_iommu=on iommu=pt " } else { "" };
        command.args(["-append", format!("console=ttyS0 panic=-1 {clock}{iommu}{}", self.append).trim_end()]);
        match &self.device {
            None => &mut command,
            Some(Ivshmem::Doorbell { socket, vectors }) => command.args([
                "-chardev",
                &format!("socket,id=ivshmem,path={}", escaped(socket)),
                "-device",
                &format!("ivshmem-doorbell,chardev=ivshmem,vectors={vectors}"),
            ]),
            Some(Ivshmem::Plain { file, bytes }) => command.args([
                "-object",
                &format!("memory-backend-file,id=ivshmem,share=on,mem-path={},size={bytes}", escaped(file)),
                "-device",
                "ivshmem-plain,memdev=ivshmem",
            ]),
        };
        command
    }

    /// The command with the console in a file.
    pub(crate) fn command_with_console(&self, console: &Path) -> Command {
        let mut command = self.command();
        command.args(["-chardev", &format!("file,id=console,path={}", escaped(console)), "-serial", "chardev:console"]);
        command
    }

    /// The command for a terminal, with the console on stdio and named threads for taskset.
    pub(crate) fn by_hand(&self, pid_file: &Path) -> Command {
        let mut command = self.command();
        command.args(["-name", "debug-threads=on", "-serial", "stdio", "-pidfile"]).arg(pid_file);
        command
    }

    /// Starts the guest with its console in a file, and waits for QEMU's monitor.
    pub(crate) fn start(&self, console: &Path, qemu_log: &Path) -> anyhow::Result<Vm> {
        let (ours, theirs) = socket_pair()?;
        let mut command = self.command_with_console(console);
        let monitor = theirs.as_raw_fd();
        command.args(["-chardev", &format!("socket,id=qmp,fd={monitor}"), "-mon", "chardev=qmp,mode=control"]);
        let options = SpawnOptions { inherit: vec![OwnedFd::from(theirs)], ..SpawnOptions::default() };
        let started = LoggedProcess::start("qemu", command.stdout(Stdio::null()), options, qemu_log)?;
        let LoggedProcess { mut process, output } = started;
        let monitor = Qmp::connect(ours);
        if monitor.is_err() {
            process.end();
        }
        let qmp = monitor.with_context(|| format!("QEMU did not start:\n{}", output.rest().trim_end()))?;
        Ok(Vm { process, output, qmp })
    }

    /// Starts the guest with its console on this terminal and in a file, to which QEMU appends; Ctrl-A X ends it. The caller
    /// may truncate the file.
    pub(crate) fn start_on_terminal(&self, console: &Path) -> anyhow::Result<Process> {
        let mut command = self.command();
        let terminal = format!("stdio,id=console,mux=on,signal=off,logappend=on,logfile={}", escaped(console));
        command.args(["-chardev", &terminal, "-serial", "chardev:console"]);
        command.args(["-mon", "chardev=console,mode=readline"]);
        Process::start("qemu", &mut command, SpawnOptions { terminal: true, ..SpawnOptions::default() })
    }
}

/// Escapes a path within a QEMU option: a comma is doubled.
fn escaped(path: &Path) -> String {
    path.display().to_string().replace(',', ",,")
}

/// A running guest.
#[derive(Debug)]
pub(crate) struct Vm {
    pub(crate) process: Process,
    /// Its log.
    pub(crate) output: CapturedOutput,
    pub(crate) qmp: Qmp,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(accelerator: Accelerator, cpus: usize) -> String {
        shown(accelerator, cpus, false)
    }

    fn shown(accelerator: Accelerator, cpus: usize, iommu: bool) -> String {
        crate::process::child::command_line(&guest(accelerator, cpus, iommu).command())
    }

    fn guest(accelerator: Accelerator, cpus: usize, iommu: bool) -> QemuOptions {
        QemuOptions {
            accelerator,
            cpu: None,
            cpus,
            memory: "256M".into(),
            kernel: "k".into(),
            initramfs: "i".into(),
            append: String::new(),
            device: Some(Ivshmem::Doorbell { socket: "/s".into(), vectors: 1 }),
            iommu,
        }
    }

    #[test]
    fn tcg_has_at_least_two_possible_cpus() {
        assert!(options(Accelerator::Tcg, 1).contains("-smp 1,maxcpus=2"));
        assert!(options(Accelerator::Tcg, 4).contains("-smp 4,maxcpus=4"));
        assert!(options(Accelerator::Kvm, 1).contains("-smp 1 "));
    }

    #[test]
    fn guest_has_the_requested_cpu_model() {
        assert!(options(Accelerator::Kvm, 1).contains("-cpu host "));
        assert!(options(Accelerator::Tcg, 1).contains("-cpu max "));
        for accelerator in [Accelerator::Kvm, Accelerator::Tcg] {
            let cpu = Some("Haswell,-avx2".parse().unwrap());
            let options = QemuOptions { cpu, ..guest(accelerator, 1, false) };
            assert!(crate::process::child::command_line(&options.command()).contains("-cpu Haswell,-avx2 "));
        }
    }

    #[test]
    fn iommu_precedes_the_devices_behind_it() {
        let with = shown(Accelerator::Tcg, 1, true);
        assert!(with.find("-device intel-iommu,intremap=on") < with.find("-device ivshmem-doorbell"), "{with}");
        assert!(with.contains("kernel-irqchip=split") && with.contains("intel_iommu=on iommu=pt"), "{with}");
        assert!(!options(Accelerator::Tcg, 1).contains("iommu"));
    }
}
