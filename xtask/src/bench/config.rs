//! What a run is to do, checked: flags that cannot go together are told here, before anything is started.

use std::time::Duration;

use report::frame_size::size_name;
use report::plan::{Fault, Pinning, Wait, Workload};
use serde::Serialize;

use super::machine::cores;
use super::options::{Bar2Map, BenchArgs, DriverArg, FrameArg, Mode, WorkloadArg};
use crate::driver::Driver;
use crate::failure::usage;
use crate::size;

/// Kernel, archive and three private copies of a 4K frame.
const LEAST_GUEST_MEMORY: u64 = 256 << 20;
/// The benchmark's structures before the first slot, and as much again so that a small slot fits.
const LEAST_SIZE: u64 = 8 << 20;
/// The longest spin of a hybrid wait: it looks at nothing but the message, neither at a deadline nor at the server.
const MOST_SPIN: Duration = Duration::from_millis(100);

/// Between an answer and the next message, where there is a gap.
const GAP: Duration = Duration::from_millis(2);

/// The checked configuration, as it is stored with the result.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Config {
    pub(crate) modes: Vec<Wait>,
    pub(crate) workloads: Vec<Workload>,
    pub(crate) full: bool,
    pub(crate) driver: Driver,
    pub(crate) driver_reason: String,
    pub(crate) bar2_map: Bar2Map,
    pub(crate) size_bytes: u64,
    pub(crate) vectors: u16,
    pub(crate) smp: u16,
    pub(crate) seed: u64,
    pub(crate) pinning: Pinning,
    pub(crate) spin_ns: Option<u64>,
    pub(crate) matrix: bool,
    /// Sizes of the frames, each once, ascending.
    pub(crate) frame_bytes: Vec<u64>,
    pub(crate) gap_ns: u64,
    /// Empty: the default ones.
    pub(crate) rates: Vec<u64>,
    pub(crate) p99_limit_ns: u64,
    /// Busy threads of contention; `None`: the default series.
    pub(crate) load: Option<u32>,
    pub(crate) aa: bool,
    pub(crate) fault: Option<Fault>,
}

impl Config {
    /// The configurations of a command, one per driver; or what is wrong with the flags.
    pub(crate) fn of(args: &BenchArgs) -> anyhow::Result<Vec<Self>> {
        let (modes, workloads) = (modes(&args.mode), workloads(&args.workload));
        let frame_bytes = frame_bytes(&args.frames);
        check_size(args.size, &workloads, &frame_bytes)?;
        let cpus = cores();
        let pinning = args.pin.on(&cpus, args.smp.into())?;
        check_spin(args.spin)?;
        if args.mem < LEAST_GUEST_MEMORY {
            return Err(usage(format!("--mem: the guest takes {}M at least", LEAST_GUEST_MEMORY >> 20)));
        }
        let several = args.driver.len() > 1;
        let config = |driver: &DriverArg| {
            let (driver, driver_reason, modes) = choose_driver(*driver, &modes, several);
            Self {
                modes,
                workloads: workloads.clone(),
                full: args.full,
                driver,
                driver_reason,
                bar2_map: args.bar2_map,
                size_bytes: args.size,
                vectors: args.vectors,
                smp: args.smp,
                seed: args.seed,
                pinning: pinning.clone(),
                spin_ns: args.spin.map(nanos),
                matrix: args.matrix,
                frame_bytes: frame_bytes.clone(),
                gap_ns: nanos(args.gap.unwrap_or(GAP)),
                rates: args.rate.clone(),
                p99_limit_ns: nanos(args.p99_limit),
                load: args.load,
                aa: args.aa,
                fault: args.fault,
            }
        };
        let mut configs: Vec<Self> = args.driver.iter().map(config).collect();
        for config in &configs {
            check_map(config.driver, config.bar2_map)?;
        }
        super::faults::check(args, &configs, cpus.len())?;
        let mut seen = Vec::new();
        configs.retain(|config| {
            !seen.contains(&config.driver) && {
                seen.push(config.driver);
                true
            }
        });
        Ok(configs)
    }

    /// `poll`, `irq` or `poll-irq`, for the folder's name.
    pub(crate) fn modes_name(&self) -> String {
        self.modes.iter().map(ToString::to_string).collect::<Vec<_>>().join("-")
    }
}

fn frame_bytes(asked: &[FrameArg]) -> Vec<u64> {
    let mut bytes: Vec<u64> = asked.iter().map(|frame| frame.bytes()).collect();
    bytes.sort_unstable();
    bytes.dedup();
    bytes
}

fn modes(asked: &[Mode]) -> Vec<Wait> {
    let all = asked.contains(&Mode::All);
    let known = [(Mode::Poll, Wait::Poll), (Mode::Irq, Wait::Irq), (Mode::Hybrid, Wait::Hybrid)];
    known.into_iter().filter(|(mode, _)| all || asked.contains(mode)).map(|(_, wait)| wait).collect()
}

/// Baseline is no block of its own: its figures are taken in every run.
fn workloads(asked: &[WorkloadArg]) -> Vec<Workload> {
    let all = asked.contains(&WorkloadArg::All);
    let known = [
        (WorkloadArg::Pingpong, Workload::Pingpong),
        (WorkloadArg::Paced, Workload::Paced),
        (WorkloadArg::Openloop, Workload::Openloop),
        (WorkloadArg::Frame, Workload::Frame),
        (WorkloadArg::Stream, Workload::Stream),
        (WorkloadArg::Storm, Workload::Storm),
        (WorkloadArg::Idle, Workload::Idle),
        (WorkloadArg::Contention, Workload::Contention),
    ];
    known.into_iter().filter(|(arg, _)| all || asked.contains(arg)).map(|(_, workload)| workload).collect()
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn check_size(size: u64, workloads: &[Workload], frame_bytes: &[u64]) -> anyhow::Result<()> {
    if !size.is_power_of_two() || size < LEAST_SIZE {
        return Err(usage(format!(
            "--size {}: the shared memory is a PCI BAR, whose size is a power of two, and the benchmark's own \
             structures take 4M of it; try --size {}M",
            size::shown(size),
            size.next_power_of_two().max(LEAST_SIZE) >> 20
        )));
    }
    if workloads.contains(&Workload::Stream) && size < super::blocks::LEAST_FOR_STREAMS {
        return Err(usage(format!(
            "--size {}M is too small for a stream's ring; try --size {}M",
            size >> 20,
            super::blocks::LEAST_FOR_STREAMS >> 20
        )));
    }
    let largest = frame_bytes.last().copied().unwrap_or_default();
    let least = LEAST_SIZE / 2 + 4096 + largest;
    if workloads.contains(&Workload::Frame) && size < least {
        return Err(usage(format!(
            "--size {}M is too small for a {} frame of {largest} bytes; try --size {}M, or smaller --frames",
            size >> 20,
            size_name(largest),
            least.next_power_of_two() >> 20
        )));
    }
    Ok(())
}

fn check_spin(asked: Option<Duration>) -> anyhow::Result<()> {
    match asked.filter(|spin| *spin > MOST_SPIN) {
        Some(spin) => Err(usage(format!(
            "--spin {}: a wait that spins for longer than {} is polling; use --mode poll, or a shorter spin",
            humantime::format_duration(spin),
            humantime::format_duration(MOST_SPIN)
        ))),
        None => Ok(()),
    }
}

/// Only our own driver maps the memory in every way.
fn check_map(driver: Driver, map: Bar2Map) -> anyhow::Result<()> {
    let offers = match driver {
        Driver::UioPciMsix => return Ok(()),
        Driver::VfioPci => &[Bar2Map::Auto, Bar2Map::Uc][..],
        Driver::UioPciGeneric | Driver::IgbUio => &[Bar2Map::Auto, Bar2Map::Uc, Bar2Map::Wc],
    };
    if offers.contains(&map) {
        return Ok(());
    }
    let offers: Vec<&str> = offers.iter().map(|map| map.name()).collect();
    Err(usage(format!(
        "--bar2-map {}: {} offers {}; every kind: --driver uio_pci_msix",
        map.name(),
        driver.name(),
        offers.join(", ")
    )))
}

/// Our own module can always be built, so `auto` never has to fall back on `igb_uio` or `vfio-pci`.
fn choose_driver(asked: DriverArg, modes: &[Wait], several: bool) -> (Driver, String, Vec<Wait>) {
    match asked {
        DriverArg::Is(Driver::UioPciGeneric) if several => (
            Driver::UioPciGeneric,
            "asked for; it cannot deliver interrupts, so it only polls".to_owned(),
            vec![Wait::Poll],
        ),
        DriverArg::Is(driver) => (driver, "asked for".to_owned(), modes.to_vec()),
        DriverArg::Auto if modes == [Wait::Poll] => {
            let reason = "polling needs no interrupts, so the stock driver will do";
            (Driver::UioPciGeneric, reason.to_owned(), modes.to_vec())
        }
        DriverArg::Auto => {
            let reason = "the device signals through MSI-X, which uio_pci_generic does not handle";
            (Driver::UioPciMsix, reason.to_owned(), modes.to_vec())
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use clap::{Parser, ValueEnum};

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        bench: BenchArgs,
    }

    pub(in crate::bench) fn parse(arguments: &str) -> anyhow::Result<Config> {
        Ok(parse_with_args(arguments)?.1.remove(0))
    }

    pub(in crate::bench) fn parse_with_args(arguments: &str) -> anyhow::Result<(BenchArgs, Vec<Config>)> {
        let words = std::iter::once("bench").chain(arguments.split_whitespace());
        let args = Command::try_parse_from(words)?.bench;
        let configs = Config::of(&args)?;
        Ok((args, configs))
    }

    #[test]
    fn a_size_that_cannot_work_names_one_that_does() {
        for (size, cure) in [("100M", "--size 128M"), ("16M", "--size 32M"), ("4K", "--size 8M"), ("3", "--size 8M")] {
            let error = parse(&format!("--size {size}")).unwrap_err().to_string();
            assert!(error.starts_with(&format!("--size {size}")) && error.contains(cure), "{error}");
        }
        assert!(parse("--size 16M --workload pingpong").is_ok());
    }

    #[test]
    fn a_spin_that_is_polling_is_refused() {
        assert_eq!(parse("--mode hybrid --spin 100ms").unwrap().spin_ns, Some(100_000_000));
        for spin in ["101ms", "1h"] {
            let error = parse(&format!("--mode hybrid --spin {spin}")).unwrap_err();
            assert!(error.is::<crate::failure::Failure>(), "status 2: {error}");
            assert!(error.to_string().contains("--mode poll"), "{error}");
        }
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
