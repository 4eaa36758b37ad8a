//! Life as PID 1 of the small VM: mounts, loads modules, binds the driver, does what the kernel command line says,
//! powers off. Whoever started the VM reads the console for the lines that begin with [`CONSOLE_PREFIX`].

use std::ffi::CStr;
use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;

use anyhow::Context;
use doorbell::deadline::{scale_in, set_scale};
use nix::mount::{MsFlags, mount};
use nix::sys::reboot::{RebootMode, reboot};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::driver::{self, IGB_UIO, MapKind, UIO_PCI_MSIX, VFIO_PCI};
use crate::modules::{self, ModuleError};
use crate::pci::{Needs, PciDevice, PciError};
use crate::responder;

/// How every line of ours on the console begins.
pub const CONSOLE_PREFIX: &str = "ivshmem-doorbell:";
/// Where the initramfs keeps the modules, flat.
const MODULES: &str = "/lib/modules";

/// What the kernel command line asks for, in `ivshmem.KEY=VALUE` words.
#[derive(Debug, Clone, PartialEq, Eq)]
struct BootOptions {
    /// `ivshmem.run`: `respond` (default), `shell`, or `proof` (say that the guest is up, and power off).
    run: String,
    /// `ivshmem.driver`: what to bind, or `none`.
    driver: String,
    /// `ivshmem.bar2`: how to map the memory: `auto`, `uc`, `wc`, `wb`.
    bar2: String,
    /// `ivshmem.device`: the PCI address, where there are several devices.
    device: Option<String>,
}

impl BootOptions {
    fn parse(command_line: &str) -> Self {
        let value = |key: &str| {
            let mut words = command_line.split_whitespace();
            words
                .find_map(|word| word.strip_prefix("ivshmem.")?.strip_prefix(key)?.strip_prefix('='))
                .map(str::to_owned)
        };
        Self {
            run: value("run").unwrap_or_else(|| "respond".to_owned()),
            driver: value("driver").unwrap_or_else(|| UIO_PCI_MSIX.to_owned()),
            bar2: value("bar2").unwrap_or_else(|| "auto".to_owned()),
            device: value("device"),
        }
    }
}

/// Never returns: the machine is off afterwards.
pub fn run() -> ! {
    if let Err(error) = run_init() {
        println!("{CONSOLE_PREFIX} error: {error:#}");
    }
    power_off(RebootMode::RB_POWER_OFF)
}

fn power_off(mode: RebootMode) -> ! {
    nix::unistd::sync();
    let Err(error) = reboot(mode);
    // PID 1 must not return: the kernel would panic, which ends the machine as well.
    panic!("cannot power off: {error}");
}

fn run_init() -> anyhow::Result<()> {
    mounts()?;
    let command_line = fs::read_to_string("/proc/cmdline")?;
    set_scale(scale_in(&command_line).unwrap_or(1));
    let options = BootOptions::parse(&command_line);
    println!("{CONSOLE_PREFIX} guest is up");
    match options.run.as_str() {
        "proof" => Ok(()),
        "shell" => {
            // A shell is worth having even where the device is not.
            if let Err(error) = load_others(&options).and_then(|()| bind(&options)) {
                println!("{CONSOLE_PREFIX} error: {error:#}");
            }
            shell()
        }
        "respond" => {
            let device = bind(&options)?;
            let kind = MapKind::from_name(&options.bar2);
            let kind = kind.with_context(|| format!("ivshmem.bar2={} is none of auto, uc, wc, wb", options.bar2))?;
            let driver = driver::open_mapped(&device, kind)?;
            println!("{CONSOLE_PREFIX} {} answers through {}", device.address(), driver.name());
            Ok(responder::respond(&*driver, true)?)
        }
        other => anyhow::bail!("ivshmem.run={other} is none of respond, shell, proof"),
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
    if driver == "none" {
        return Ok(device);
    }
    anyhow::ensure!(driver::ALL.contains(&driver), "no driver {driver}; there are {}", driver::ALL.join(", "));
    load_modules(driver, options)?;
    driver::bind(&device, driver)?;
    Ok(device)
}

/// On the kernel command line the address has another form than the hint of [`PciError::Ambiguous`] gives it.
fn select(options: &BootOptions) -> anyhow::Result<PciDevice> {
    PciDevice::select(options.device.as_deref(), Needs::Memory).map_err(|error| match error {
        PciError::Ambiguous { devices } if options.run != "shell" => {
            anyhow::anyhow!("several ivshmem devices: {devices}; select one with ivshmem.device=ADDRESS")
        }
        other => other.into(),
    })
}

/// Whoever has a shell may want another driver next. Whoever wants none may want to load modules by hand.
fn load_others(options: &BootOptions) -> anyhow::Result<()> {
    if options.driver != "none" {
        driver::ALL.iter().try_for_each(|other| load_modules(other, options))?;
    }
    Ok(())
}

/// Loads what a driver consists of.
fn load_modules(driver: &str, options: &BootOptions) -> Result<(), ModuleError> {
    let modules: &[(&str, &CStr)] = match driver {
        // Without wc_activate it maps the BARs for itself, uncached, and every later mapping of them becomes so too.
        IGB_UIO => &[(IGB_UIO, c"intr_mode=msix wc_activate=1")],
        // The second is no dependency of the first: the kernel would fetch it with modprobe.
        VFIO_PCI => &[("vfio_pci", c""), ("vfio_iommu_type1", c"")],
        // Write-back needs BAR2 above 4 GiB.
        UIO_PCI_MSIX if options.bar2 == "wb" => &[(UIO_PCI_MSIX, c"move_bar2=1")],
        other => &[(other, c"")],
    };
    modules.iter().try_for_each(|(name, parameters)| modules::load(Path::new(MODULES), name, parameters))
}

/// A shell on the console; the machine goes off with it. busybox's `poweroff`, `reboot` and `halt` signal PID 1.
fn shell() -> anyhow::Result<()> {
    let mut shell = Command::new("/bin/busybox");
    shell.args(["setsid", "cttyhack", "/bin/sh"]).current_dir("/");
    shell.env("PATH", "/bin:/sbin").env("HOME", "/").env("PS1", "guest# ").env("TERM", "linux");
    // Spawned before the signals are blocked, or the shell would inherit the blocking.
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

/// Collects whoever has died; whether the shell is among them.
fn reap(shell: Pid) -> bool {
    let mut over = false;
    while let Ok(status) = waitpid(None, Some(WaitPidFlag::WNOHANG)) {
        if status == WaitStatus::StillAlive {
            break;
        }
        over |= status.pid() == Some(shell);
    }
    over
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_read_from_the_kernel_command_line() {
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
