//! The flags of `cargo xtask bench`.

use std::path::PathBuf;
use std::time::Duration;

use bench_model::units::{FRAME_4K, FRAME_1080P, FRAME_1440P};
use bench_model::{Fault, WaitMode, Workload};
use clap::Args;
use clap::builder::TypedValueParser;
use cli_common::{duration, number, size};

use super::pinning::Pin;
use crate::arguments::{AutoOr, choice};
use crate::guest_args::GuestArgs;
use crate::timeouts;
use bench_protocol::boot::{Bar2Map, GuestDriver};

/// Default of `--ready-timeout`, from the start of the initiator. The guest boots in this time.
const READY_TIMEOUT: Duration = Duration::from_secs(60);

/// Compares busy polling and interrupts on a real guest
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  cargo xtask bench                       poll and irq, interleaved in one boot
  cargo xtask bench --mode irq            interrupts only
  cargo xtask bench --full --out run1     ten times as many operations, into ./run1
  cargo xtask bench --workload pingpong --matrix      nine cells: each side in each mode
  cargo xtask bench --workload frame --frames 4k --full       4K frames only
  cargo xtask bench --workload openloop --rate 1000,4000 --p99-limit 500us
  cargo xtask bench --driver uio_pci_msix,igb_uio,vfio-pci --mode irq,hybrid --workload pingpong

Exit status: 0 every self-check passed, 1 something failed, 2 wrong usage, 3 a dependency is missing.")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(crate) struct BenchArgs {
    /// Wait modes to compare, for both sides
    #[arg(long, value_parser = mode(), value_delimiter = ',', default_value = "poll,irq")]
    pub(super) mode: Vec<Vec<WaitMode>>,
    /// Workloads to measure
    #[arg(
        long,
        value_parser = workload(),
        value_delimiter = ',',
        default_value = "baseline,pingpong,paced,frame,storm,idle,contention"
    )]
    pub(super) workload: Vec<Vec<Workload>>,
    /// Combine every wait mode of the host with every wait mode of the guest, for pingpong and paced
    #[arg(long)]
    pub(super) matrix: bool,
    /// Frame sizes to measure
    #[arg(long, value_name = "SIZE", value_parser = frame_size(), value_delimiter = ',', default_value = "1080p,1440p,4k")]
    pub(super) frames: Vec<u64>,
    /// Paced and contention: time between an acknowledgement and the next message [default: 2ms]
    #[arg(long, value_name = "D", value_parser = duration::parse)]
    pub(super) gap: Option<Duration>,
    /// Open loop: offered load in messages per second [default: 500,1000,2000,5000,10000; --full ten rates up to 50000]
    #[arg(long, value_name = "N", value_delimiter = ',', value_parser = number::in_range::<u64>(1..=10_000_000))]
    pub(super) rate: Vec<u64>,
    /// Open loop: limit of the corrected p99 latency [default: 1ms]
    #[arg(long, value_name = "D", value_parser = duration::parse_above_zero)]
    pub(super) p99_limit: Option<Duration>,
    /// Contention: number of busy threads [default: 0 to the number of cores + 1, and both sides on one core]
    #[arg(long, value_name = "N", value_parser = number::in_range::<u32>(0..=1024))]
    pub(super) load: Option<u32>,
    /// A/A test: measure each mode of pingpong and paced twice to estimate the noise floor
    #[arg(long)]
    pub(super) aa: bool,
    /// Few operations: about a minute (default)
    #[arg(long, conflicts_with = "full")]
    pub(super) quick: bool,
    /// Ten times as many operations
    #[arg(long)]
    pub(super) full: bool,
    /// Guest driver, or several to compare, each in its own boot. auto: `uio_pci_generic` if polling only, otherwise
    /// `uio_pci_msix`. In a list, drivers without interrupts are measured only with polling
    #[arg(long, value_parser = driver(), value_delimiter = ',', default_value = "auto")]
    pub(super) driver: Vec<AutoOr<GuestDriver>>,
    #[command(flatten)]
    pub(crate) guest: GuestArgs,
    /// Size of the shared memory, a power of two
    #[arg(long, value_name = "BYTES", value_parser = size::parse, default_value = "128M")]
    pub(super) size: u64,
    /// Doorbell vectors per peer
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = number::in_range::<u16>(1..=256))]
    pub(crate) vectors: u16,
    /// How long a hybrid wait polls before it blocks, at most 100ms [default: the measured cost of blocking]
    #[arg(long, value_name = "D", value_parser = duration::parse)]
    pub(super) spin: Option<Duration>,
    /// Memory type of the guest's mapping of BAR2
    #[arg(long, value_parser = choice(Bar2Map::ALL.map(|map| (map.name(), map.help(), map))), default_value = "auto")]
    pub(super) bar2_map: Bar2Map,
    /// CPU affinity: auto (the initiator on the first CPU, vCPUs on the next ones), none, or a map such as
    /// host=0,vcpu=1,main=2 (several vCPUs: vcpu0=1,vcpu1=2)
    #[arg(long, default_value = "auto", value_name = "auto|none|MAP")]
    pub(crate) pin: Pin,
    /// Directory for the results [default: results/DATE-MODES]
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Seed of the frame content and of the block order
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = number::in_range(0..=u64::MAX))]
    pub(super) seed: u64,
    /// Print one JSON document instead of the summary
    #[arg(long)]
    pub(crate) json: bool,
    /// Print the commands of the processes
    #[arg(long, short)]
    pub(crate) verbose: bool,
    /// Additional parameters for the guest's kernel command line
    #[arg(long, value_name = "WORDS", default_value = "")]
    pub(crate) append: String,
    /// Time limit for the guest to become ready [default: 60s]
    #[arg(long, value_name = "D", value_parser = duration::parse_above_zero)]
    ready_timeout: Option<Duration>,
    /// Inject a fault to verify that a self-check catches it
    #[arg(long, value_parser = choice(Fault::ALL.map(|fault| (fault.name(), "", fault))))]
    pub(super) fault: Option<Fault>,
}

/// The wait modes of a value of `--mode`.
fn mode() -> impl TypedValueParser<Value = Vec<WaitMode>> {
    let modes = WaitMode::ALL.map(|mode| (mode.name(), mode.help(), vec![mode]));
    choice(modes.into_iter().chain([("all", "All of them", WaitMode::ALL.to_vec())]))
}

/// The workloads of a value of `--workload`. The baseline is part of every run and needs no blocks.
fn workload() -> impl TypedValueParser<Value = Vec<Workload>> {
    let workloads = Workload::ALL.map(|workload| (workload.name(), workload.help(), vec![workload]));
    let baseline = ("baseline", "Peak bandwidths and instrument overhead; measured in every run", Vec::new());
    choice([baseline].into_iter().chain(workloads).chain([("all", "All of them", Workload::ALL.to_vec())]))
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
    /// The time limit for the guest to become ready.
    pub(crate) fn ready_timeout(&self) -> Duration {
        self.ready_timeout.unwrap_or(timeouts::scaled(READY_TIMEOUT))
    }
}
