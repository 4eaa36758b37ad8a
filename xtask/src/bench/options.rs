//! `cargo xtask bench`'s flags.

use std::path::PathBuf;
use std::time::Duration;

use bench_model::frame_size::{FRAME_4K, FRAME_1080P, FRAME_1440P};
use bench_model::{Accelerator, Fault, WaitMode, Workload};
use clap::Args;
use clap::builder::TypedValueParser;
use cli_common::{duration, number, size};

use super::pinning::Pin;
use crate::arguments::{self, AutoOr, choice};
use crate::provision::{CustomKernel, InstallPolicy};
use crate::timeouts::{self, TimeoutArgs};
use crate::vm::cpu_model::CpuModel;
use bench_protocol::boot::{Bar2Map, GuestDriver};

/// From the start of the initiator; the guest boots meanwhile.
const READY_TIMEOUT: Duration = Duration::from_secs(60);

/// Measures polling and interrupts side by side on a real guest
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  cargo xtask bench                       poll and irq side by side, in one boot
  cargo xtask bench --mode irq            interrupts only
  cargo xtask bench --full --out run1     ten times as many operations, into ./run1
  cargo xtask bench --workload pingpong --matrix      nine cells: each side in each mode
  cargo xtask bench --workload frame --frames 4k --full       every size has a cost of its own
  cargo xtask bench --workload openloop --rate 1000,4000 --p99-limit 500us
  cargo xtask bench --driver uio_pci_msix,igb_uio,vfio-pci --mode irq,hybrid --workload pingpong

Exit status: 0 every self-check passed, 1 something failed, 2 wrong usage, 3 the machine lacks something.")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(crate) struct BenchArgs {
    /// How both sides wait
    #[arg(long, value_parser = mode(), value_delimiter = ',', default_value = "poll,irq")]
    pub(super) mode: Vec<ModeArg>,
    /// What is measured
    #[arg(
        long,
        value_parser = workload(),
        value_delimiter = ',',
        default_value = "baseline,pingpong,paced,frame,storm,idle,contention"
    )]
    pub(super) workload: Vec<WorkloadArg>,
    /// Every way to wait of the host with every one of the guest: nine cells of pingpong and of paced
    #[arg(long)]
    pub(super) matrix: bool,
    /// Frames: the sizes to measure
    #[arg(long, value_name = "SIZE", value_parser = frame_size(), value_delimiter = ',', default_value = "1080p,1440p,4k")]
    pub(super) frames: Vec<u64>,
    /// Paced and contention: time between an answer and the next message [default: 2ms]
    #[arg(long, value_name = "D", value_parser = duration::parse)]
    pub(super) gap: Option<Duration>,
    /// Open loop: messages per second to offer [default: 500,1000,2000,5000,10000; --full ten rates up to 50000]
    #[arg(long, value_name = "N", value_delimiter = ',', value_parser = number::in_range::<u64>(1..=10_000_000))]
    pub(super) rate: Vec<u64>,
    /// Open loop: what p99, from when a message was due, must stay below [default: 1ms]
    #[arg(long, value_name = "D", value_parser = duration::parse_above_zero)]
    pub(super) p99_limit: Option<Duration>,
    /// Contention: busy threads [default: 0 to one more than there are cores, and both sides on one core]
    #[arg(long, value_name = "N", value_parser = number::in_range::<u32>(0..=1024))]
    pub(super) load: Option<u32>,
    /// Measure everything of pingpong and paced twice, to see how far equal things differ
    #[arg(long)]
    pub(super) aa: bool,
    /// Few operations: about a minute (default)
    #[arg(long, conflicts_with = "full")]
    pub(super) quick: bool,
    /// Ten times as many operations
    #[arg(long)]
    pub(super) full: bool,
    /// The guest's kernel driver, or several to compare, each in a boot of its own; auto takes the stock one for polling,
    /// and one that delivers interrupts otherwise
    #[arg(long, value_parser = driver(), value_delimiter = ',', default_value = "auto")]
    pub(super) driver: Vec<AutoOr<GuestDriver>>,
    /// What executes the guest's code; auto takes KVM if a guest really starts under it
    #[arg(long, value_parser = arguments::accelerator(), default_value = "auto")]
    pub(crate) accel: AutoOr<Accelerator>,
    /// The guest's processor, as QEMU's -cpu takes it [default: host under KVM, max under emulation]
    #[arg(long, value_name = "MODEL[,FLAGS]")]
    pub(crate) cpu: Option<CpuModel>,
    #[command(flatten)]
    pub(crate) timeouts: TimeoutArgs,
    /// Shared memory, a power of two
    #[arg(long, value_name = "BYTES", value_parser = size::parse, default_value = "128M")]
    pub(super) size: u64,
    /// Doorbell vectors per peer
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = number::in_range::<u16>(1..=256))]
    pub(crate) vectors: u16,
    /// The guest's CPUs
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = number::in_range::<u16>(1..=64))]
    pub(crate) smp: u16,
    /// The guest's own memory
    #[arg(long, value_name = "BYTES", value_parser = size::parse, default_value = "512M")]
    pub(crate) mem: u64,
    /// How long a hybrid wait spins before it blocks, 100ms at most [default: as long as blocking is measured to take]
    #[arg(long, value_name = "D", value_parser = duration::parse)]
    pub(super) spin: Option<Duration>,
    /// How the guest maps the memory: uncached, write-combined, write-back, or what the driver does best
    #[arg(long, value_parser = choice(Bar2Map::ALL.map(|map| (map.name(), map.help(), map))), default_value = "auto")]
    pub(super) bar2_map: Bar2Map,
    /// Which threads stay on which CPU: auto (the initiator on the first, the guest's CPUs on those behind), none, or a
    /// map such as host=0,vcpu=1,main=2; with several guest CPUs vcpu0=1,vcpu1=2
    #[arg(long, default_value = "auto", value_name = "auto|none|MAP")]
    pub(crate) pin: Pin,
    /// The results' folder [default: results/DATE-MODES]
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Seed of the frames' content and of the blocks' order
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = number::parse::<u64>)]
    pub(super) seed: u64,
    /// One JSON document on stdout instead of the table
    #[arg(long)]
    pub(crate) json: bool,
    /// Install missing packages without asking
    #[arg(long)]
    pub(super) yes: bool,
    /// Print the commands that are run
    #[arg(long, short)]
    pub(crate) verbose: bool,
    /// Another kernel's image, with --modules
    #[arg(long, value_name = "FILE", requires = "modules")]
    pub(super) kernel: Option<PathBuf>,
    /// That kernel's /lib/modules/RELEASE folder
    #[arg(long, value_name = "DIR", requires = "kernel")]
    pub(super) modules: Option<PathBuf>,
    /// More words for the guest's kernel command line
    #[arg(long, value_name = "WORDS", default_value = "")]
    pub(crate) append: String,
    /// How long the guest may take to get ready [default: 60s]
    #[arg(long, value_name = "D", value_parser = duration::parse_above_zero)]
    ready_timeout: Option<Duration>,
    /// Break one party on purpose, to see that a self-check notices
    #[arg(long, value_parser = choice(Fault::ALL.map(|fault| (fault.name(), "", fault))))]
    pub(super) fault: Option<Fault>,
}

/// Wait modes of `--mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ModeArg {
    /// One.
    Only(WaitMode),
    /// All.
    All,
}

fn mode() -> impl TypedValueParser<Value = ModeArg> {
    let modes = WaitMode::ALL.map(|mode| (mode.name(), mode.help(), ModeArg::Only(mode)));
    choice(modes.into_iter().chain([("all", "All of them", ModeArg::All)]))
}

/// Workloads of `--workload`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WorkloadArg {
    /// The peak bandwidths and the instrument overhead. They are measured in every run.
    Baseline,
    /// One workload.
    Only(Workload),
    /// All workloads.
    All,
}

fn workload() -> impl TypedValueParser<Value = WorkloadArg> {
    let workloads = Workload::ALL.map(|workload| (workload.name(), workload.help(), WorkloadArg::Only(workload)));
    let baseline =
        ("baseline", "Peak bandwidths and instrument overhead; measured in every run", WorkloadArg::Baseline);
    choice([baseline].into_iter().chain(workloads).chain([("all", "All of them", WorkloadArg::All)]))
}

fn frame_size() -> impl TypedValueParser<Value = u64> {
    choice([
        ("1080p", "1920 × 1080", FRAME_1080P),
        ("1440p", "2560 × 1440", FRAME_1440P),
        ("4k", "3840 × 2160", FRAME_4K),
    ])
}

fn driver() -> impl TypedValueParser<Value = AutoOr<GuestDriver>> {
    let drivers = GuestDriver::ALL.map(|driver| (driver.name(), driver.help(), AutoOr::Only(driver)));
    choice([("auto", "The one that suits the modes", AutoOr::Auto)].into_iter().chain(drivers))
}

impl BenchArgs {
    /// How packages may be installed.
    pub(crate) fn consent(&self) -> InstallPolicy {
        InstallPolicy::new(self.yes)
    }

    /// How long the guest may take to get ready.
    pub(crate) fn ready_timeout(&self) -> Duration {
        self.ready_timeout.unwrap_or(timeouts::scaled(READY_TIMEOUT))
    }

    /// The kernel that the user names.
    pub(crate) fn custom_kernel(&self) -> Option<CustomKernel> {
        Some(CustomKernel { image: self.kernel.clone()?, modules: self.modules.clone()? })
    }
}
