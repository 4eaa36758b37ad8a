//! What a run is to do, checked: flags that cannot go together are told here, before anything is started.

use report::frame_size::FRAME_4K;
use report::plan::{Fault, Wait, Workload};
use serde::Serialize;

use super::options::{Bar2Map, BenchArgs, DriverArg, FaultArg, Mode, WorkloadArg};
use crate::driver::Driver;
use crate::failure::usage;

/// Kernel, archive and three private copies of a 4K frame.
const LEAST_GUEST_MEMORY: u64 = 256 << 20;
/// The benchmark's structures before the first slot, and as much again so that a small slot fits.
const LEAST_SIZE: u64 = 8 << 20;

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
    pub(crate) spin_ns: Option<u64>,
    pub(crate) fault: Option<Fault>,
}

impl Config {
    /// The configurations of a command, one per driver; or what is wrong with the flags.
    pub(crate) fn of(args: &BenchArgs) -> anyhow::Result<Vec<Self>> {
        let (modes, workloads) = (modes(&args.mode), workloads(&args.workload));
        check_size(args.size, &workloads)?;
        check_fault(args.fault, &modes, &workloads)?;
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
                spin_ns: args.spin.map(|time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)),
                fault: args.fault.map(|fault| match fault {
                    FaultArg::WrongHash => Fault::WrongHash,
                    FaultArg::DropDoorbell => Fault::DropDoorbell,
                }),
            }
        };
        let mut configs: Vec<Self> = args.driver.iter().map(config).collect();
        for config in &configs {
            check_map(config.driver, config.bar2_map)?;
        }
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

fn modes(asked: &[Mode]) -> Vec<Wait> {
    let all = asked.contains(&Mode::All);
    let known = [(Mode::Poll, Wait::Poll), (Mode::Irq, Wait::Irq), (Mode::Hybrid, Wait::Hybrid)];
    known.into_iter().filter(|(mode, _)| all || asked.contains(mode)).map(|(_, wait)| wait).collect()
}

fn workloads(asked: &[WorkloadArg]) -> Vec<Workload> {
    let known = [(WorkloadArg::Pingpong, Workload::Pingpong), (WorkloadArg::Frame, Workload::Frame)];
    known.into_iter().filter(|(arg, _)| asked.contains(arg)).map(|(_, workload)| workload).collect()
}

fn check_size(size: u64, workloads: &[Workload]) -> anyhow::Result<()> {
    if !size.is_power_of_two() || size < LEAST_SIZE {
        return Err(usage(format!(
            "--size {}K: the shared memory is a PCI BAR, whose size is a power of two, and the benchmark's own \
             structures take 4M of it; try --size {}M",
            size >> 10,
            size.next_power_of_two().max(LEAST_SIZE) >> 20
        )));
    }
    let least = LEAST_SIZE / 2 + 4096 + FRAME_4K;
    if workloads.contains(&Workload::Frame) && size < least {
        return Err(usage(format!(
            "--size {}M is too small for a 4K frame of {FRAME_4K} bytes; try --size {}M, or --workload pingpong",
            size >> 20,
            least.next_power_of_two() >> 20
        )));
    }
    Ok(())
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

/// A fault that cannot be put in would make a run pass that was to fail.
fn check_fault(fault: Option<FaultArg>, modes: &[Wait], workloads: &[Workload]) -> anyhow::Result<()> {
    match fault {
        Some(FaultArg::WrongHash) if !workloads.contains(&Workload::Frame) => {
            Err(usage("--fault wrong-hash needs frames: --workload frame"))
        }
        Some(FaultArg::DropDoorbell) if !modes.contains(&Wait::Irq) => {
            Err(usage("--fault drop-doorbell needs doorbells: --mode irq"))
        }
        _ => Ok(()),
    }
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
        let words = std::iter::once("bench").chain(arguments.split_whitespace());
        Ok(Config::of(&Command::try_parse_from(words)?.bench)?.remove(0))
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
