//! PID 1 of the small VM: mounts file systems, loads modules, binds the driver, runs what the kernel command line requests,
//! and powers off. xtask reads the console lines that begin with [`CONSOLE_PREFIX`].

use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;
use std::str::FromStr;

use anyhow::Context;
use bench_protocol::boot::{
    self, Bar2Map, CONSOLE_PREFIX, GUEST_IS_UP, GuestDriver, NO_DRIVER, PARAMETER_PREFIX, RunMode,
};
use doorbell::deadline::{scale_in, set_scale};
use nix::mount::{MsFlags, mount};
use nix::sys::reboot::{RebootMode, reboot};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::driver;
use crate::error::DeviceError;
use crate::modules;
use crate::pci::{Needs, PciDevice};
use crate::responder;

/// Directory of the kernel modules in the initramfs, without subdirectories.
const MODULE_DIR: &str = "/lib/modules";

/// Options from `ivshmem.KEY=VALUE` words of the kernel command line.
#[derive(Debug, Clone, PartialEq, Eq)]
struct BootOptions {
    /// `ivshmem.run`. Default: respond.
    run: RunMode,
    /// `ivshmem.driver`: the driver to bind. Default: `uio_pci_msix`. `none`: the device stays unbound.
    driver: Option<GuestDriver>,
    /// `ivshmem.bar2`: the memory type of BAR2's mapping.
    bar2: Bar2Map,
    /// `ivshmem.device`: the PCI address. Required if there are several devices.
    device: Option<String>,
}

impl BootOptions {
    fn parse(command_line: &str) -> anyhow::Result<Self> {
        let value = |key: &str| {
            let mut words = command_line.split_whitespace();
            words.find_map(|word| word.strip_prefix(PARAMETER_PREFIX)?.strip_prefix(key)?.strip_prefix('='))
        };
        let driver = match value(boot::DRIVER) {
            Some(NO_DRIVER) => None,
            name => {
                Some(choice(boot::DRIVER, name, GuestDriver::UioPciMsix, &GuestDriver::ALL.map(GuestDriver::name))?)
            }
        };
        Ok(Self {
            run: choice(boot::RUN, value(boot::RUN), RunMode::Respond, &RunMode::ALL.map(RunMode::name))?,
            driver,
            bar2: choice(boot::BAR2, value(boot::BAR2), Bar2Map::default(), &Bar2Map::ALL.map(Bar2Map::name))?,
            device: value(boot::DEVICE).map(str::to_owned),
        })
    }
}

/// A parameter's value, or its default if it is missing.
fn choice<T: FromStr>(key: &str, value: Option<&str>, default: T, names: &[&str]) -> anyhow::Result<T> {
    let Some(value) = value else { return Ok(default) };
    let parsed = value.parse().ok();
    parsed.with_context(|| format!("{} is not one of {}", boot::parameter(key, value), names.join(", ")))
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
    println!("{CONSOLE_PREFIX} {GUEST_IS_UP}");
    let options = BootOptions::parse(&command_line)?;
    match options.run {
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
            let driver = driver::open(&device, options.bar2)?;
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
    if let Some(driver) = options.driver {
        load_modules(driver, options.bar2)?;
        driver::bind(&device, driver)?;
    }
    Ok(device)
}

/// Selects the device. Replaces the hint of [`DeviceError::Ambiguous`] by the option of the kernel command line.
fn select(options: &BootOptions) -> anyhow::Result<PciDevice> {
    PciDevice::select(options.device.as_deref(), Needs::Memory).map_err(|error| match error {
        DeviceError::Ambiguous(devices) if options.run != RunMode::Shell => {
            anyhow::anyhow!("several ivshmem devices: {devices}; select one with ivshmem.device=ADDRESS")
        }
        other => other.into(),
    })
}

/// Loads the modules of all drivers for the shell, unless `none` is requested.
fn load_all_modules(options: &BootOptions) -> anyhow::Result<()> {
    if options.driver.is_some() {
        GuestDriver::ALL.into_iter().try_for_each(|driver| load_modules(driver, options.bar2))?;
    }
    Ok(())
}

/// Loads a driver's modules.
fn load_modules(driver: GuestDriver, bar2: Bar2Map) -> anyhow::Result<()> {
    let parameters = match driver {
        // Without wc_activate the module maps the BARs uncached, which makes every later mapping uncached.
        GuestDriver::IgbUio => c"intr_mode=msix wc_activate=1",
        // Write-back requires BAR2 above 4 GiB.
        GuestDriver::UioPciMsix if bar2 == Bar2Map::WriteBack => c"move_bar2=1",
        GuestDriver::UioPciMsix | GuestDriver::UioPciGeneric | GuestDriver::VfioPci => c"",
    };
    modules::load(Path::new(MODULE_DIR), &driver.module(), parameters)?;
    if driver.needs_iommu() {
        // Not a dependency of vfio_pci; the kernel would request it through modprobe.
        modules::load(Path::new(MODULE_DIR), "vfio_iommu_type1", c"")?;
    }
    Ok(())
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
        let parse = |line: &str| BootOptions::parse(line).unwrap();
        let defaults = BootOptions {
            run: RunMode::Respond,
            driver: Some(GuestDriver::UioPciMsix),
            bar2: Bar2Map::Auto,
            device: None,
        };
        assert_eq!(parse("quiet"), defaults);
        let options = parse("console=ttyS0 ivshmem.run=shell quiet ivshmem.driver=uio_pci_generic\n");
        let driver = Some(GuestDriver::UioPciGeneric);
        assert_eq!(options, BootOptions { run: RunMode::Shell, driver, ..defaults.clone() });
        let options = parse("quiet ivshmem.bar2=wb ivshmem.device=0000:00:03.0 ivshmem.driver=none");
        let device = Some("0000:00:03.0".into());
        assert_eq!(options, BootOptions { driver: None, bar2: Bar2Map::WriteBack, device, ..defaults });
    }

    #[test]
    fn invalid_option_lists_the_valid_values() {
        for (line, text) in [
            ("ivshmem.run=rest", "ivshmem.run=rest is not one of respond, shell, proof"),
            ("ivshmem.bar2=w", "ivshmem.bar2=w is not one of auto, uc, wc, wb"),
            ("ivshmem.driver=x", "ivshmem.driver=x is not one of uio_pci_msix, uio_pci_generic, igb_uio, vfio-pci"),
        ] {
            assert_eq!(BootOptions::parse(line).unwrap_err().to_string(), text);
        }
    }
}
