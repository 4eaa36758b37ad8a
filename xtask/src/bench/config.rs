//! The configuration of a run, made from its flags.

use std::time::Duration;

use bench_model::{ASKED_FOR, Fault, Pinning, WaitMode, Workload};
use serde::{Serialize, Serializer};

use super::options::BenchArgs;
use crate::arguments::AutoOr;
use bench_protocol::boot::{Bar2Map, GuestDriver};

/// Default of `--p99-limit`.
const P99_LIMIT: Duration = Duration::from_millis(1);
/// Default of `--gap`.
const GAP: Duration = Duration::from_millis(2);

/// The checked configuration, as it is stored with the result.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct BenchConfig {
    pub(crate) modes: Vec<WaitMode>,
    pub(crate) workloads: Vec<Workload>,
    pub(crate) full: bool,
    #[serde(serialize_with = "serialize_driver")]
    pub(crate) driver: GuestDriver,
    pub(crate) driver_reason: &'static str,
    #[serde(serialize_with = "serialize_bar2_map")]
    pub(crate) bar2_map: Bar2Map,
    pub(crate) size_bytes: u64,
    pub(crate) vectors: u16,
    pub(crate) smp: u16,
    pub(crate) seed: u64,
    pub(crate) pinning: Pinning,
    pub(crate) spin_ns: Option<u64>,
    pub(crate) matrix: bool,
    /// Frame sizes, ascending, without duplicates.
    pub(crate) frame_bytes: Vec<u64>,
    pub(crate) gap_ns: u64,
    /// Empty: the default rates.
    pub(crate) rates: Vec<u64>,
    pub(crate) p99_limit_ns: u64,
    /// Busy threads of contention; `None`: the default numbers.
    pub(crate) load: Option<u32>,
    pub(crate) aa: bool,
    pub(crate) fault: Option<Fault>,
}

impl BenchConfig {
    /// The configurations of a command, one per driver, each driver once. `flag_checks` checks them.
    pub(super) fn from_args(args: &BenchArgs, pinning: &Pinning) -> Vec<Self> {
        // In the order of their types, without duplicates.
        let (modes, workloads) = (args.mode.concat(), args.workload.concat());
        let modes: Vec<WaitMode> = WaitMode::ALL.into_iter().filter(|mode| modes.contains(mode)).collect();
        let workloads: Vec<Workload> = Workload::ALL.into_iter().filter(|one| workloads.contains(one)).collect();
        let mut frame_bytes = args.frames.clone();
        frame_bytes.sort_unstable();
        frame_bytes.dedup();
        let several = args.driver.len() > 1;
        let config = |driver: &AutoOr<GuestDriver>| {
            let (driver, driver_reason, modes) = choose_driver(*driver, &modes, several, args);
            // A driver without interrupts only polls, whatever the compared drivers do.
            let matrix = args.matrix && (driver.delivers_interrupts() || !several);
            Self {
                modes,
                workloads: workloads.clone(),
                full: args.full,
                driver,
                driver_reason,
                bar2_map: args.bar2_map,
                size_bytes: args.size,
                vectors: args.vectors,
                smp: args.guest.smp,
                seed: args.seed,
                pinning: pinning.clone(),
                spin_ns: args.spin.map(nanos),
                matrix,
                frame_bytes: frame_bytes.clone(),
                gap_ns: nanos(args.gap.unwrap_or(GAP)),
                rates: args.rate.clone(),
                p99_limit_ns: nanos(args.p99_limit.unwrap_or(P99_LIMIT)),
                load: args.load,
                aa: args.aa,
                fault: args.fault,
            }
        };
        let mut configs: Vec<Self> = Vec::new();
        for config in args.driver.iter().map(config) {
            if configs.iter().all(|other| other.driver != config.driver) {
                configs.push(config);
            }
        }
        configs
    }

    /// For the name of the results' directory, such as `poll-irq`.
    pub(crate) fn modes_name(&self) -> String {
        self.modes.iter().map(ToString::to_string).collect::<Vec<_>>().join("-")
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// `auto` never chooses `igb_uio` or `vfio-pci`, because `uio_pci_msix` can always be built.
fn choose_driver(
    asked: AutoOr<GuestDriver>,
    modes: &[WaitMode],
    several: bool,
    args: &BenchArgs,
) -> (GuestDriver, &'static str, Vec<WaitMode>) {
    let (driver, reason) = match asked {
        AutoOr::Only(driver) if several && !driver.delivers_interrupts() => {
            return (driver, "asked for; polls only, because it delivers no interrupts", vec![WaitMode::Poll]);
        }
        AutoOr::Only(driver) => (driver, ASKED_FOR),
        AutoOr::Auto if modes == [WaitMode::Poll] && args.bar2_map == Bar2Map::WriteBack => {
            (GuestDriver::UioPciMsix, "the only driver that maps the memory write-back")
        }
        AutoOr::Auto if modes == [WaitMode::Poll] && !args.matrix => {
            (GuestDriver::UioPciGeneric, "the stock driver suffices for polling")
        }
        AutoOr::Auto => (GuestDriver::UioPciMsix, "the device uses MSI-X, which uio_pci_generic does not support"),
    };
    (driver, reason, modes.to_vec())
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn serialize_driver<S: Serializer>(driver: &GuestDriver, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(driver.name())
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn serialize_bar2_map<S: Serializer>(map: &Bar2Map, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(map.name())
}
