//! `cargo xtask bench`'s flags, checked against each other before anything is started.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::PossibleValue;
use clap::{Args, ValueEnum};
use report::frame_size::FRAME_4K;
use report::plan::{Fault, Wait, Workload};
use serde::Serialize;

use crate::accel::Accel;
use crate::driver::Driver;
use crate::failure::usage;
use crate::provision::{Consent, CustomKernel};
use crate::size;

/// Measures polling and interrupts side by side on a real guest
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  cargo xtask bench                       poll and irq side by side, in one boot
  cargo xtask bench --mode irq            interrupts only
  cargo xtask bench --full --out run1     ten times as many operations, into ./run1
  cargo xtask bench --driver uio_pci_generic --mode poll

Exit status: 0 every self-check passed, 1 something failed, 2 wrong usage, 3 the machine lacks something.")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(crate) struct BenchArgs {
    /// How both sides wait
    #[arg(long, value_enum, value_delimiter = ',', default_value = "poll,irq")]
    mode: Vec<Mode>,
    /// What is measured
    #[arg(long, value_enum, value_delimiter = ',', default_value = "pingpong,frame")]
    workload: Vec<WorkloadArg>,
    /// Few operations: about a minute (default)
    #[arg(long, conflicts_with = "full")]
    quick: bool,
    /// Ten times as many operations
    #[arg(long)]
    full: bool,
    /// The guest's kernel driver; auto takes the stock one for polling, and one that delivers interrupts otherwise
    #[arg(long, value_enum, default_value_t = DriverArg::Auto)]
    pub(crate) driver: DriverArg,
    /// What executes the guest's code; auto takes KVM if a guest really starts under it
    #[arg(long, value_enum, default_value_t = Accel::Auto)]
    pub(crate) accel: Accel,
    /// Shared memory, a power of two
    #[arg(long, value_parser = size::parse, default_value = "128M")]
    size: u64,
    /// Doorbell vectors per peer
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) vectors: u16,
    /// The guest's CPUs
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) smp: u16,
    /// The guest's own memory
    #[arg(long, value_parser = size::parse, default_value = "512M")]
    pub(crate) mem: u64,
    /// How long a hybrid wait spins before it blocks [default: as long as blocking is measured to take]
    #[arg(long, value_parser = humantime::parse_duration)]
    spin: Option<Duration>,
    /// Which threads stay on which core: the initiator on the first, the guest's CPU on the second
    #[arg(long, value_enum, default_value_t = Pin::Auto)]
    pub(crate) pin: Pin,
    /// The results' folder [default: results/DATE-MODES]
    #[arg(long)]
    pub(crate) out: Option<PathBuf>,
    /// Seed of the frames' content and of the blocks' order
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// One JSON document on stdout instead of the table
    #[arg(long)]
    pub(crate) json: bool,
    /// Install missing packages without asking
    #[arg(long)]
    yes: bool,
    /// Print the commands that are run
    #[arg(long, short)]
    pub(crate) verbose: bool,
    /// Another kernel's image, with --modules
    #[arg(long, requires = "modules")]
    kernel: Option<PathBuf>,
    /// That kernel's /lib/modules/RELEASE folder
    #[arg(long, requires = "kernel")]
    modules: Option<PathBuf>,
    /// More words for the guest's kernel command line
    #[arg(long, default_value = "")]
    pub(crate) append: String,
    /// How long the guest may take to get ready
    #[arg(long, value_parser = humantime::parse_duration, default_value = "60s")]
    pub(crate) ready_timeout: Duration,
    /// Put a fault into the run, to see that it is caught
    #[arg(long, value_enum)]
    fault: Option<FaultArg>,
}

/// A way to wait, on both sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Mode {
    /// Spin
    Poll,
    /// Block on the doorbell
    Irq,
    /// Spin for a while, then block
    Hybrid,
    /// All three
    All,
}

/// A workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum WorkloadArg {
    /// Round trips of 64 bytes
    Pingpong,
    /// 1080p, 1440p and 4K frames, verified
    Frame,
}

/// A kernel driver of the guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DriverArg {
    /// Whatever the modes take.
    Auto,
    /// This one.
    Is(Driver),
}

impl ValueEnum for DriverArg {
    fn value_variants<'a>() -> &'a [Self] {
        use Driver::{IgbUio, UioPciGeneric, UioPciMsix, VfioPci};
        &[Self::Auto, Self::Is(UioPciMsix), Self::Is(UioPciGeneric), Self::Is(IgbUio), Self::Is(VfioPci)]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        match self {
            Self::Auto => Some(PossibleValue::new("auto")),
            Self::Is(driver) => driver.to_possible_value(),
        }
    }
}

/// Where threads run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Pin {
    Auto,
    None,
}

/// See [`Fault`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FaultArg {
    /// One measured frame does not match its hash
    WrongHash,
    /// One doorbell is counted but never rung
    DropDoorbell,
}

/// Kernel, archive and three private copies of a 4K frame.
const LEAST_GUEST_MEMORY: u64 = 256 << 20;

/// The checked configuration, as it is stored with the result.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Config {
    pub(crate) modes: Vec<Wait>,
    pub(crate) workloads: Vec<Workload>,
    pub(crate) full: bool,
    pub(crate) driver: Driver,
    pub(crate) driver_reason: String,
    pub(crate) size_bytes: u64,
    pub(crate) vectors: u16,
    pub(crate) smp: u16,
    pub(crate) seed: u64,
    pub(crate) spin_ns: Option<u64>,
    pub(crate) fault: Option<Fault>,
}

impl BenchArgs {
    /// The configuration, or what is wrong with the flags.
    pub(crate) fn check(&self) -> anyhow::Result<Config> {
        if !self.size.is_power_of_two() || self.size < 8 << 20 {
            let next = self.size.next_power_of_two().max(8 << 20);
            return Err(usage(format!(
                "--size {}K: the shared memory is a PCI BAR, whose size is a power of two, and the benchmark's own \
                 structures take 4M of it; try --size {}M",
                self.size >> 10,
                next >> 20
            )));
        }
        let all = self.mode.contains(&Mode::All);
        let mut modes: Vec<Wait> = Vec::new();
        for (mode, wait) in [(Mode::Poll, Wait::Poll), (Mode::Irq, Wait::Irq), (Mode::Hybrid, Wait::Hybrid)] {
            if all || self.mode.contains(&mode) {
                modes.push(wait);
            }
        }
        let mut workloads = Vec::new();
        for (arg, workload) in [(WorkloadArg::Pingpong, Workload::Pingpong), (WorkloadArg::Frame, Workload::Frame)] {
            if self.workload.contains(&arg) {
                workloads.push(workload);
            }
        }
        if workloads.contains(&Workload::Frame) {
            let least = (4 << 20) + 4096 + FRAME_4K;
            if self.size < least {
                return Err(usage(format!(
                    "--size {}M is too small for a 4K frame of {} bytes; try --size {}M, or --workload pingpong",
                    self.size >> 20,
                    FRAME_4K,
                    least.next_power_of_two() >> 20
                )));
            }
        }
        match self.fault {
            Some(FaultArg::WrongHash) if !workloads.contains(&Workload::Frame) => {
                return Err(usage("--fault wrong-hash needs frames: --workload frame"));
            }
            Some(FaultArg::DropDoorbell) if !modes.contains(&Wait::Irq) => {
                return Err(usage("--fault drop-doorbell needs doorbells: --mode irq"));
            }
            _ => {}
        }
        if self.mem < LEAST_GUEST_MEMORY {
            return Err(usage(format!("--mem: the guest takes {}M at least", LEAST_GUEST_MEMORY >> 20)));
        }
        let (driver, driver_reason) = self.choose_driver(&modes);
        let fault = self.fault.map(|fault| match fault {
            FaultArg::WrongHash => Fault::WrongHash,
            FaultArg::DropDoorbell => Fault::DropDoorbell,
        });
        let spin_ns = self.spin.map(|time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
        let (size_bytes, vectors, smp, seed, full) = (self.size, self.vectors, self.smp, self.seed, self.full);
        Ok(Config { modes, workloads, full, driver, driver_reason, size_bytes, vectors, smp, seed, spin_ns, fault })
    }

    /// Our own module can always be built, so `auto` never has to fall back on `igb_uio` or `vfio-pci`.
    fn choose_driver(&self, modes: &[Wait]) -> (Driver, String) {
        match self.driver {
            DriverArg::Is(driver) => (driver, "asked for".to_owned()),
            DriverArg::Auto if modes == [Wait::Poll] => {
                (Driver::UioPciGeneric, "polling needs no interrupts, so the stock driver will do".to_owned())
            }
            DriverArg::Auto => {
                (Driver::UioPciMsix, "the device signals through MSI-X, which uio_pci_generic does not handle".to_owned())
            }
        }
    }

    /// How packages may be installed.
    pub(crate) fn consent(&self) -> Consent {
        Consent::new(self.yes)
    }

    /// The kernel that the user names.
    pub(crate) fn custom_kernel(&self) -> Option<CustomKernel> {
        Some(CustomKernel { image: self.kernel.clone()?, modules: self.modules.clone()? })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        bench: BenchArgs,
    }

    pub(in crate::bench) fn parse(arguments: &str) -> anyhow::Result<Config> {
        let words = std::iter::once("bench").chain(arguments.split_whitespace());
        Command::try_parse_from(words)?.bench.check()
    }

    #[test]
    fn a_size_that_cannot_work_names_one_that_does() {
        for (size, cure) in [("100M", "--size 128M"), ("16M", "--size 32M"), ("4K", "--size 8M")] {
            let error = parse(&format!("--size {size}")).unwrap_err().to_string();
            assert!(error.contains(cure), "{error}");
        }
        assert!(parse("--size 16M --workload pingpong").is_ok());
    }

    #[test]
    fn the_driver_follows_the_modes() {
        assert_eq!(parse("--mode poll").unwrap().driver, Driver::UioPciGeneric);
        assert_eq!(parse("--mode irq").unwrap().driver, Driver::UioPciMsix);
        assert_eq!(parse("").unwrap().driver, Driver::UioPciMsix);
        for driver in Driver::value_variants() {
            assert_eq!(parse(&format!("--mode irq --driver {}", driver.name())).unwrap().driver, *driver);
        }
    }
}
