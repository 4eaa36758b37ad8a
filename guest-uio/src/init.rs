//! PID 1 of the small VM: mounts file systems, loads modules, binds the driver, runs what the kernel command line requests,
//! and powers off. xtask reads the console lines that begin with [`CONSOLE_PREFIX`].

use std::ffi::CStr;
use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;

use anyhow::Context;
use bench_protocol::boot::{self, Bar2Map, CONSOLE_PREFIX, GUEST_IS_UP, NO_DRIVER, PARAMETER_PREFIX, RunMode};
use doorbell::deadline::{scale_in, set_scale};
use nix::mount::{MsFlags, mount};
use nix::sys::reboot::{RebootMode, reboot};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::driver::{self, IGB_UIO, UIO_PCI_MSIX, VFIO_PCI};
use crate::error::DeviceError;
use crate::modules;
use crate::pci::{Needs, PciDevice};
use crate::responder;

/// Directory of the kernel modules in the initramfs, without subdirectories.
const MODULE_DIR: &str = "/lib/modules";

/// Options from `ivshmem.KEY=VALUE` words of the kernel command line.
#[derive(Debug, Clone, PartialEq, Eq)]
struct BootOptions {
    /// `ivshmem.run`: `respond` (default), `shell`, or `proof` (print that the guest is up, and power off).
    run: String,
    /// `ivshmem.driver`: the driver to bind, or `none`.
    driver: String,
    /// `ivshmem.bar2`: the memory type of BAR2's mapping: `auto`, `uc`, `wc` or `wb`.
    bar2: String,
    /// `ivshmem.device`: the PCI address. Required if there are several devices.
    device: Option<String>,
}

impl BootOptions {
    fn parse(command_line: &str) -> Self {
        let value = |key: &str| {
            let mut words = command_line.split_whitespace();
            words
                .find_map(|word| word.strip_prefix(PARAMETER_PREFIX)?.strip_prefix(key)?.strip_prefix('='))
                .map(str::to_owned)
        };
        Self {
            run: value(boot::RUN).unwrap_or_else(|| RunMode::Respond.name().to_owned()),
            driver: value(boot::DRIVER).unwrap_or_else(|| UIO_PCI_MSIX.to_owned()),
            bar2: value(boot::BAR2).unwrap_or_else(|| Bar2Map::default().name().to_owned()),
            device: value(boot::DEVICE),
        }
    }
}

/// Runs PID 1. Powers off at the end.
pub fn run() -> ! {
    if let Err(error) = run_init() {
        println!("{CONSOLE_PREFIX} {} {error:#}", boot::ERROR);
    }
    power_off(RebootMode::RB_POWER_OFF)
}

fn power_off(mode: RebootMode) -> ! {
    nix::unistd::sync();
    let Err(error) = reboot(mode);
    // If PID 1 ends, the kernel panics, which also ends the VM.
    panic!("cannot power off: {error}");
}

fn run_init() -> anyhow::Result<()> {
    mounts()?;
    let command_line = fs::read_to_string("/proc/cmdline")?;
    set_scale(scale_in(&command_line).unwrap_or(1));
    let options = BootOptions::parse(&command_line);
    println!("{CONSOLE_PREFIX} {GUEST_IS_UP}");
    let mode: Result<RunMode, _> = options.run.parse();
    let mode = mode.ok().with_context(|| format!("ivshmem.run={} is not one of respond, shell, proof", options.run));
    match mode? {
        RunMode::Proof => Ok(()),
        RunMode::Shell => {
            // The shell must start even if the device cannot be used.
            if let Err(error) = load_all_modules(&options).and_then(|()| bind(&options)) {
                println!("{CONSOLE_PREFIX} {} {error:#}", boot::ERROR);
            }
            shell()
        }
        RunMode::Respond => {
            let device = bind(&options)?;
            let kind: Result<Bar2Map, _> = options.bar2.parse();
            let kind =
                kind.ok().with_context(|| format!("ivshmem.bar2={} is not one of auto, uc, wc, wb", options.bar2));
            let driver = driver::open(&device, kind?)?;
            println!("{CONSOLE_PREFIX} {} responds through {}", device.address(), driver.bars().driver);
            responder::respond(&*driver, true)
        }
    }
}

fn mounts() -> io::Result<()> {
    for (kind, at) in [("proc", "/proc"), ("sysfs", "/sys"), ("devtmpfs", "/dev"), ("tmpfs", "/tmp")] {
        fs::create_dir_all(at)?;
        mount(Some(kind), at, Some(kind), MsFlags::empty(), None::<&str>)?;
    }
    Ok(())
}

fn bind(options: &BootOptions) -> anyhow::Result<PciDevice> {
    let device = select(options)?;
    let driver = options.driver.as_str();
    if driver == NO_DRIVER {
        return Ok(device);
    }
    anyhow::ensure!(driver::ALL.contains(&driver), "unknown driver {driver}; supported: {}", driver::ALL.join(", "));
    load_modules(driver, options)?;
    driver::bind(&device, driver)?;
    Ok(device)
}

/// Selects the device. Replaces the hint of [`DeviceError::Ambiguous`] by the option of the kernel command line.
fn select(options: &BootOptions) -> anyhow::Result<PciDevice> {
    PciDevice::select(options.device.as_deref(), Needs::Memory).map_err(|error| match error {
        DeviceError::Ambiguous(devices) if options.run != "shell" => {
            anyhow::anyhow!("several ivshmem devices: {devices}; select one with ivshmem.device=ADDRESS")
        }
        other => other.into(),
    })
}

/// Loads the modules of all drivers for the shell, unless `none` is requested.
fn load_all_modules(options: &BootOptions) -> anyhow::Result<()> {
    if options.driver != "none" {
        driver::ALL.iter().try_for_each(|other| load_modules(other, options))?;
    }
    Ok(())
}

/// Loads a driver's modules.
fn load_modules(driver: &str, options: &BootOptions) -> anyhow::Result<()> {
    let modules: &[(&str, &CStr)] = match driver {
        // Without wc_activate the module maps the BARs uncached, which makes every later mapping uncached.
        IGB_UIO => &[(IGB_UIO, c"intr_mode=msix wc_activate=1")],
        // vfio_iommu_type1 is not a dependency of vfio_pci; the kernel would request it through modprobe.
        VFIO_PCI => &[("vfio_pci", c""), ("vfio_iommu_type1", c"")],
        // Write-back requires BAR2 above 4 GiB.
        UIO_PCI_MSIX if options.bar2 == "wb" => &[(UIO_PCI_MSIX, c"move_bar2=1")],
        other => &[(other, c"")],
    };
    modules.iter().try_for_each(|(name, parameters)| modules::load(Path::new(MODULE_DIR), name, parameters))
}

/// Runs a shell on the console until it ends. busybox's `poweroff`, `reboot` and `halt` signal PID 1.
fn shell() -> anyhow::Result<()> {
    let mut shell = Command::new("/bin/busybox");
    shell.args(["setsid", "cttyhack", "/bin/sh"]).current_dir("/");
    shell.env("PATH", "/bin:/sbin").env("HOME", "/").env("PS1", "guest# ").env("TERM", "linux");
    // Spawn before blocking the signals, because the shell inherits the signal mask.
    let child = Pid::from_raw(shell.spawn()?.id().cast_signed());
    let mut signals = SigSet::empty();
    for signal in [Signal::SIGCHLD, Signal::SIGUSR1, Signal::SIGUSR2, Signal::SIGTERM] {
        signals.add(signal);
    }
    signals.thread_block()?;
    if reap(child) {
        return Ok(());
    }
    loop {
        match signals.wait()? {
            Signal::SIGCHLD => {
                if reap(child) {
                    return Ok(());
                }
            }
            Signal::SIGTERM => power_off(RebootMode::RB_AUTOBOOT),
            _ => return Ok(()),
        }
    }
}

/// Reaps ended processes. Returns whether the shell was among them.
fn reap(shell: Pid) -> bool {
    let mut shell_ended = false;
    while let Ok(status) = waitpid(None, Some(WaitPidFlag::WNOHANG)) {
        if status == WaitStatus::StillAlive {
            break;
        }
        shell_ended |= status.pid() == Some(shell);
    }
    shell_ended
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_options_from_kernel_command_line() {
        let defaults =
            BootOptions { run: "respond".into(), driver: "uio_pci_msix".into(), bar2: "auto".into(), device: None };
        assert_eq!(BootOptions::parse("quiet"), defaults);
        let options = BootOptions::parse("console=ttyS0 ivshmem.run=shell quiet ivshmem.driver=uio_pci_generic\n");
        let expected = BootOptions { run: "shell".into(), driver: "uio_pci_generic".into(), ..defaults.clone() };
        assert_eq!(options, expected);
        let options = BootOptions::parse("quiet ivshmem.bar2=wb ivshmem.device=0000:00:03.0");
        assert_eq!(options, BootOptions { bar2: "wb".into(), device: Some("0000:00:03.0".into()), ..defaults });
    }
}
