//! `cargo xtask bench`'s flags, checked against each other before anything is started.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use report::plan::{Block, Fault, Plan, QemuThreads, Wait, Workload};
use serde::Serialize;

use crate::accel::Accel;
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
    #[arg(long, value_parser = seconds, default_value = "60s")]
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
    /// Both
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum DriverArg {
    Auto,
    /// This project's UIO driver with MSI-X
    UioPciMsix,
    /// The stock UIO driver; cannot deliver interrupts
    UioPciGeneric,
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

fn seconds(text: &str) -> Result<Duration, String> {
    let number = text.strip_suffix('s').and_then(|n| n.parse().ok());
    number.map(Duration::from_secs).ok_or_else(|| "seconds, such as 60s".to_owned())
}

/// Bytes of a frame at 24 bits per pixel.
const fn frame_bytes(width: u64, height: u64) -> u64 {
    width * height * 3
}

/// 1080p, 1440p, 4K.
const FRAMES: [u64; 3] = [frame_bytes(1920, 1080), frame_bytes(2560, 1440), frame_bytes(3840, 2160)];
/// Bytes of a pingpong's message: a cache line.
const MESSAGE: u64 = 64;
/// Blocks into which a mode's operations are cut, so that modes alternate and noise hits all alike.
const ROUNDS: u64 = 4;
/// How long one operation may take. A 4K frame's hash takes a second under emulation.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(10);

/// The checked configuration, as it is stored with the result.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Config {
    pub(crate) modes: Vec<Wait>,
    pub(crate) workloads: Vec<Workload>,
    pub(crate) full: bool,
    pub(crate) driver: &'static str,
    pub(crate) driver_reason: String,
    pub(crate) size_bytes: u64,
    pub(crate) vectors: u16,
    pub(crate) smp: u16,
    pub(crate) seed: u64,
    pub(crate) fault: Option<Fault>,
}

impl BenchArgs {
    /// The configuration, or what is wrong with the flags.
    pub(crate) fn check(&self) -> anyhow::Result<Config> {
        if !self.size.is_power_of_two() || self.size < 8 << 20 {
            let next = self.size.next_power_of_two().max(8 << 20);
            return Err(usage(format!(
                "--size {}: the shared memory is a PCI BAR, whose size is a power of two, and the benchmark's own \
                 structures take 4M of it; try --size {}M",
                self.size,
                next >> 20
            )));
        }
        let all = self.mode.contains(&Mode::All);
        let mut modes: Vec<Wait> = Vec::new();
        for (mode, wait) in [(Mode::Poll, Wait::Poll), (Mode::Irq, Wait::Irq)] {
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
            let least = (4 << 20) + 4096 + FRAMES[2];
            if self.size < least {
                return Err(usage(format!(
                    "--size {}M is too small for a 4K frame of {} bytes; try --size {}M, or --workload pingpong",
                    self.size >> 20,
                    FRAMES[2],
                    least.next_power_of_two() >> 20
                )));
            }
        }
        let (driver, driver_reason) = self.choose_driver(&modes);
        let fault = self.fault.map(|fault| match fault {
            FaultArg::WrongHash => Fault::WrongHash,
            FaultArg::DropDoorbell => Fault::DropDoorbell,
        });
        let (size_bytes, vectors, smp, seed, full) = (self.size, self.vectors, self.smp, self.seed, self.full);
        Ok(Config { modes, workloads, full, driver, driver_reason, size_bytes, vectors, smp, seed, fault })
    }

    fn choose_driver(&self, modes: &[Wait]) -> (&'static str, String) {
        match self.driver {
            DriverArg::UioPciMsix => ("uio_pci_msix", "asked for".to_owned()),
            DriverArg::UioPciGeneric => ("uio_pci_generic", "asked for".to_owned()),
            DriverArg::Auto if modes == [Wait::Poll] => {
                ("uio_pci_generic", "polling needs no interrupts, so the stock driver will do".to_owned())
            }
            DriverArg::Auto => {
                ("uio_pci_msix", "the device signals through MSI-X, which uio_pci_generic does not handle".to_owned())
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

impl Config {
    /// The blocks of a run, modes interleaved: poll irq, irq poll, poll irq, …
    pub(crate) fn blocks(&self) -> Vec<Block> {
        let mut blocks = Vec::new();
        let many = if self.full { 10 } else { 1 };
        for workload in &self.workloads {
            match workload {
                Workload::Pingpong => {
                    for round in 0..ROUNDS {
                        self.round(&mut blocks, round, *workload, MESSAGE, (500, 2_500 * many));
                    }
                }
                Workload::Frame => {
                    for size in FRAMES {
                        for round in 0..2 {
                            self.round(&mut blocks, round, *workload, size, (1, 5 * many));
                        }
                    }
                }
            }
        }
        blocks
    }

    /// One block of each mode; every second round in the opposite order.
    fn round(&self, blocks: &mut Vec<Block>, round: u64, workload: Workload, size: u64, (warmup, count): (u64, u64)) {
        let mut modes = self.modes.clone();
        if round % 2 == 1 {
            modes.reverse();
        }
        for wait in modes {
            blocks.push(Block {
                index: u32::try_from(blocks.len()).unwrap_or(u32::MAX),
                workload,
                host_wait: wait,
                guest_wait: wait,
                size_bytes: size,
                warmup,
                count,
                corrupt_one: workload == Workload::Frame && round == 0,
            });
        }
    }

    /// What the initiator gets.
    pub(crate) fn plan(&self, socket: PathBuf, qemu: QemuThreads, cpu: Option<usize>, ready: Duration) -> Plan {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Plan {
            nonce: nonce(),
            seed: self.seed,
            socket,
            cpu,
            qemu: Some(qemu),
            ready_timeout_ms: millis(ready),
            operation_timeout_ms: millis(OPERATION_TIMEOUT),
            blocks: self.blocks(),
            fault: self.fault,
        }
    }

    /// `poll`, `irq` or `poll-irq`, for the folder's name.
    pub(crate) fn modes_name(&self) -> String {
        self.modes.iter().map(ToString::to_string).collect::<Vec<_>>().join("-")
    }
}

/// Different for every run, and never zero.
fn nonce() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let nanos = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
    (nanos ^ u64::from(std::process::id()) << 48) | 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use Wait::{Irq, Poll};
    use clap::Parser;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        bench: BenchArgs,
    }

    fn parse(arguments: &str) -> anyhow::Result<Config> {
        let words = std::iter::once("bench").chain(arguments.split_whitespace());
        Command::try_parse_from(words)?.bench.check()
    }

    #[test]
    fn modes_are_measured_side_by_side_and_in_alternating_order() {
        let blocks = parse("--workload pingpong").unwrap().blocks();
        let order: Vec<Wait> = blocks.iter().map(|b| b.guest_wait).collect();
        assert_eq!(order, [Poll, Irq, Irq, Poll, Poll, Irq, Irq, Poll]);
        let per_mode: u64 = blocks.iter().filter(|b| b.guest_wait == Irq).map(|b| b.count).sum();
        assert_eq!(per_mode, 10_000);
    }

    #[test]
    fn every_frame_size_of_every_mode_has_one_corrupted_frame() {
        let blocks = parse("").unwrap().blocks();
        let corrupted: Vec<(u64, Wait)> =
            blocks.iter().filter(|b| b.corrupt_one).map(|b| (b.size_bytes, b.guest_wait)).collect();
        assert_eq!(corrupted.len(), 6);
    }

    #[test]
    fn no_block_has_more_operations_than_there_are_records() {
        for block in parse("--full").unwrap().blocks() {
            assert!(block.warmup + block.count < 32_768);
        }
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
        assert_eq!(parse("--mode poll").unwrap().driver, "uio_pci_generic");
        assert_eq!(parse("--mode irq").unwrap().driver, "uio_pci_msix");
        assert_eq!(parse("").unwrap().driver, "uio_pci_msix");
        assert_eq!(parse("--mode irq --driver uio_pci_generic").unwrap().driver, "uio_pci_generic");
    }
}
