//! Checks of the flags before anything is started: flags that contradict each other are refused, flags without effect warned of.

use std::time::Duration;

use bench_model::frame_size::size_name;
use bench_model::{Block, WaitMode, Workload};
use cli_common::size::Bytes;

use super::config::Config;
use super::faults;
use super::host_info::cores;
use super::options::BenchArgs;
use super::plan_blocks::{self, MIN_FOR_STREAMS};
use crate::exit_status::usage;
use crate::vm::host_memory;
use bench_protocol::boot::{Bar2Map, GuestDriver};

/// Kernel, archive and three private copies of a 4K frame.
const MIN_GUEST_MEMORY: u64 = 256 << 20;
/// The benchmark's structures before the first slot, and as much again so that a small slot fits.
const MIN_SIZE: u64 = 8 << 20;
/// The longest spin of a hybrid wait: it looks at nothing but the message, neither at a deadline nor at the server.
const MAX_SPIN: Duration = Duration::from_millis(100);

/// The longest kernel command line (`COMMAND_LINE_SIZE` of x86), less what every guest has on it.
const MAX_APPEND: usize = 2048 - 256;

/// The configurations of a command, one per driver, or what is wrong with its flags.
pub(super) fn checked_configs(args: &BenchArgs) -> anyhow::Result<Vec<Config>> {
    let cpus = cores();
    let pinning = args.pin.on(&cpus, args.smp.into())?;
    let configs = Config::from_args(args, &pinning);
    for config in &configs {
        check_size(args.size, &config.workloads, &config.frame_bytes)?;
        check_gap(args, &config.workloads)?;
        check_map(config.driver, config.bar2_map)?;
        check_interrupts(config)?;
    }
    check_spin(args.spin)?;
    host_memory::check_guest(args.mem, MIN_GUEST_MEMORY)?;
    check_append(&args.append)?;
    faults::check(args, &configs, cpus.len())?;
    check_blocks(&configs)?;
    host_memory::check(args.size, args.mem)?;
    Ok(configs)
}

fn check_size(size: u64, workloads: &[Workload], frame_bytes: &[u64]) -> anyhow::Result<()> {
    if !size.is_power_of_two() || size < MIN_SIZE {
        return Err(usage(format!(
            "--size {}: the shared memory is a PCI BAR, whose size is a power of two, and the benchmark's own \
             structures take 4M of it; try --size {}M",
            Bytes(size),
            size.next_power_of_two().max(MIN_SIZE) >> 20
        )));
    }
    if workloads.contains(&Workload::Stream) && size < MIN_FOR_STREAMS {
        return Err(usage(format!(
            "--size {}M is too small for a stream's ring; try --size {}M",
            size >> 20,
            MIN_FOR_STREAMS >> 20
        )));
    }
    let largest = frame_bytes.last().copied().unwrap_or_default();
    let least = MIN_SIZE / 2 + 4096 + largest;
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
    match asked.filter(|spin| *spin > MAX_SPIN) {
        Some(spin) => Err(usage(format!(
            "--spin {}: a wait that spins for longer than {} is polling; use --mode poll, or a shorter spin",
            humantime::format_duration(spin),
            humantime::format_duration(MAX_SPIN)
        ))),
        None => Ok(()),
    }
}

/// A driver without interrupts cannot do what the modes ask of it.
fn check_interrupts(config: &Config) -> anyhow::Result<()> {
    if config.driver.delivers_interrupts() {
        return Ok(());
    }
    let blocking = config.modes.iter().find(|mode| mode.blocks());
    let (flag, without) = match blocking {
        Some(mode) => (format!("--mode {mode}"), "--mode poll"),
        None if config.matrix => ("--matrix".to_owned(), "leave --matrix out"),
        None => return Ok(()),
    };
    Err(usage(format!(
        "{flag} needs interrupts, and {} delivers none: the device has MSI-X only; use --driver uio_pci_msix, or {without}",
        config.driver.name()
    )))
}

/// Workloads that come to nothing in the modes asked for. Baseline alone has no blocks either, and is measured.
fn check_blocks(configs: &[Config]) -> anyhow::Result<()> {
    let asked = configs.iter().any(|config| !config.workloads.is_empty());
    if !asked || configs.iter().any(|config| !plan_blocks::blocks(config).is_empty()) {
        return Ok(());
    }
    Err(usage("--workload storm: a side that polls is not rung, so there is nothing to measure; add --mode irq"))
}

/// Words for the guest's kernel that it could not obey.
fn check_append(append: &str) -> anyhow::Result<()> {
    if let Some(word) = append.split_whitespace().find(|word| word.starts_with("ivshmem.")) {
        return Err(usage(format!(
            "--append {word}: the benchmark sets the ivshmem words itself; use --driver, --bar2-map or --timeout-scale"
        )));
    }
    if append.len() > MAX_APPEND {
        return Err(usage(format!("--append: {} bytes, and the kernel takes {MAX_APPEND} at most", append.len())));
    }
    Ok(())
}

/// Contention's blocks end after a time, in which there must be some messages.
fn check_gap(args: &BenchArgs, workloads: &[Workload]) -> anyhow::Result<()> {
    let most = plan_blocks::contention_limit(args.full) / 3;
    match args.gap.filter(|gap| *gap > most && workloads.contains(&Workload::Contention)) {
        Some(gap) => Err(usage(format!(
            "--gap {}: a block of contention would have less than three messages; use --gap {}, or --workload paced",
            humantime::format_duration(gap),
            humantime::format_duration(most)
        ))),
        None => Ok(()),
    }
}

fn check_map(driver: GuestDriver, map: Bar2Map) -> anyhow::Result<()> {
    let offered = driver.bar2_maps();
    if offered.contains(&map) {
        return Ok(());
    }
    let offered: Vec<&str> = offered.iter().map(|map| map.name()).collect();
    Err(usage(format!(
        "--bar2-map {}: {} offers {}; every type: --driver uio_pci_msix",
        map.name(),
        driver.name(),
        offered.join(", ")
    )))
}

/// A warning for each such flag, with what it takes.
pub(super) fn warnings(args: &BenchArgs, configs: &[Config]) -> Vec<String> {
    let blocks: Vec<Block> = configs.iter().flat_map(plan_blocks::blocks).collect();
    let has = |one_of: &[Workload]| blocks.iter().any(|block| one_of.contains(&block.workload));
    let spins = blocks.iter().any(|block| [block.host_wait, block.guest_wait].contains(&WaitMode::Hybrid));
    let (pingpong, paced) = (Workload::Pingpong, Workload::Paced);
    let flags = [
        ("--spin", args.spin.is_some(), spins, "nobody waits in the hybrid way", "--mode hybrid"),
        (
            "--rate",
            !args.rate.is_empty(),
            has(&[Workload::Openloop]),
            "no messages are offered at a rate",
            "--workload openloop",
        ),
        (
            "--p99-limit",
            args.p99_limit.is_some(),
            has(&[Workload::Openloop]),
            "no messages are offered at a rate",
            "--workload openloop",
        ),
        (
            "--aa",
            args.aa,
            has(&[pingpong, paced]),
            "neither pingpong nor paced is measured",
            "--workload pingpong,paced",
        ),
        (
            "--matrix",
            args.matrix,
            has(&[pingpong, paced]),
            "neither pingpong nor paced is measured",
            "--workload pingpong,paced",
        ),
        (
            "--gap",
            args.gap.is_some(),
            blocks.iter().any(|block| block.conditions.gap_ns.is_some()),
            "no messages have gaps between them",
            "--workload paced",
        ),
        (
            "--load",
            args.load.is_some(),
            has(&[Workload::Contention]),
            "nothing is measured beside busy threads",
            "--workload contention",
        ),
    ];
    let idle = flags.into_iter().filter(|(_, is_given, has_effect, ..)| *is_given && !has_effect);
    idle.map(|(flag, _, _, why, cure)| format!("warning: {flag} has no effect, since {why}; add {cure}")).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use clap::Parser;

    use super::*;

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
        let configs = checked_configs(&args)?;
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
            assert!(error.is::<crate::exit_status::Failure>(), "status 2: {error}");
            assert!(error.to_string().contains("--mode poll"), "{error}");
        }
    }

    #[track_caller]
    fn refused(words: &str, hint: &str) {
        let error = parse(words).unwrap_err();
        assert!(error.is::<crate::exit_status::Failure>(), "status 2: {error}");
        assert!(error.to_string().contains(hint), "{words}: {error}");
    }

    #[test]
    fn driver_without_interrupts_only_polls() {
        for mode in ["irq", "hybrid", "poll,irq", "all"] {
            refused(&format!("--driver uio_pci_generic --mode {mode}"), "use --driver uio_pci_msix, or --mode poll");
        }
        refused("--driver uio_pci_generic --mode poll --matrix", "leave --matrix out");
        assert!(parse("--driver uio_pci_generic --mode poll").is_ok());
        // A comparison of drivers: this one polls, whatever the others do.
        let (_, configs) = parse_with_args("--driver uio_pci_generic,uio_pci_msix --mode poll,irq --matrix").unwrap();
        assert_eq!((configs[0].modes.as_slice(), configs[0].matrix), (&[WaitMode::Poll][..], false));
        assert_eq!((configs[1].modes.as_slice(), configs[1].matrix), (&[WaitMode::Poll, WaitMode::Irq][..], true));
    }

    #[test]
    fn auto_takes_a_driver_that_can_do_what_is_asked() {
        assert_eq!(parse("--mode poll --matrix").unwrap().driver, GuestDriver::UioPciMsix);
        assert_eq!(parse("--mode poll --bar2-map wb").unwrap().driver, GuestDriver::UioPciMsix);
    }

    #[test]
    fn workload_without_blocks_is_refused() {
        refused("--mode poll --workload storm", "--mode irq");
        assert!(parse("--mode poll --workload storm,idle").is_ok() && parse("--workload baseline").is_ok());
    }

    #[test]
    fn words_that_the_guests_kernel_ignores_are_refused() {
        refused("--append ivshmem.driver=none", "--driver");
        refused(&format!("--append {}", "x".repeat(2_000)), "1792 at most");
        assert!(parse("--append quiet").is_ok());
    }

    #[test]
    fn gap_leaves_room_for_messages() {
        refused("--gap 200ms", "--gap 100ms, or --workload paced");
        assert!(parse("--gap 200ms --full").is_ok() && parse("--gap 10s --workload paced").is_ok());
    }

    #[test]
    fn impossible_numbers_are_refused_by_the_parser() {
        for words in ["--ready-timeout 0s", "--p99-limit 0", "--kvm-timeout 0s", "--rate x", "--seed x", "--smp 0"] {
            let error = parse(words).unwrap_err().to_string();
            assert!(error.contains("expected a ") && !error.contains("invalid digit"), "{words}: {error}");
        }
    }

    #[test]
    fn the_driver_follows_the_modes() {
        assert_eq!(parse("--mode poll").unwrap().driver, GuestDriver::UioPciGeneric);
        assert_eq!(parse("--mode irq").unwrap().driver, GuestDriver::UioPciMsix);
        assert_eq!(parse("").unwrap().driver, GuestDriver::UioPciMsix);
        for driver in GuestDriver::ALL.iter().filter(|driver| driver.delivers_interrupts()) {
            assert_eq!(parse(&format!("--mode irq --driver {}", driver.name())).unwrap().driver, *driver);
        }
    }

    fn warned(words: &str) -> Vec<String> {
        let (args, configs) = parse_with_args(words).unwrap();
        warnings(&args, &configs)
    }

    #[test]
    fn a_flag_without_effect_is_told_with_what_it_takes() {
        for (words, cure) in [
            ("--spin 50us", "--mode hybrid"),
            ("--rate 1000", "--workload openloop"),
            ("--p99-limit 1ms", "--workload openloop"),
            ("--aa --workload frame", "--workload pingpong,paced"),
            ("--matrix --workload frame", "--workload pingpong,paced"),
            ("--gap 5ms --workload pingpong", "--workload paced"),
            ("--load 2 --workload paced", "--workload contention"),
        ] {
            let told = warned(words);
            assert!(told.len() == 1 && told[0].contains(cure), "{words}: {told:?}");
        }
    }

    #[test]
    fn flags_that_change_something_are_not_told() {
        for words in [
            "",
            "--spin 50us --mode hybrid",
            "--spin 50us --matrix",
            "--rate 1000 --workload openloop",
            "--aa --workload paced",
            "--gap 5ms --workload contention",
            "--load 2 --workload contention",
        ] {
            assert_eq!(warned(words), [""; 0], "{words}");
        }
    }
}
