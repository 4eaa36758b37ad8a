//! Checks the flags before anything starts: refuses contradictions, warns of flags without effect.

use std::time::Duration;

use bench_model::units::size_name;
use bench_model::{Block, WaitMode, Workload};
use cli_common::size::Bytes;

use super::config::BenchConfig;
use super::faults;
use super::host_info::cores;
use super::options::BenchArgs;
use super::plan_blocks::{self, MIN_FOR_STREAMS};
use crate::exit_status::usage;
use crate::vm::host_memory;
use bench_protocol::boot::{Bar2Map, GuestDriver};

/// Memory for the kernel, the initramfs and three private copies of a 4K frame.
const MIN_GUEST_MEMORY: u64 = 256 << 20;
/// Twice the offset of the first slot, a power of two.
const MIN_SIZE: u64 = 8 << 20;
/// Limit of a hybrid wait's polling phase, which checks neither a timeout nor the server.
const MAX_SPIN: Duration = Duration::from_millis(100);

/// The kernel's limit (`COMMAND_LINE_SIZE` of x86) minus the parameters that every guest has.
const MAX_APPEND: usize = 2048 - 256;

/// Makes the configurations of a command, one per driver. An error is wrong usage or missing memory.
pub(super) fn checked_configs(args: &BenchArgs) -> anyhow::Result<Vec<BenchConfig>> {
    let cpus = cores();
    let pinning = args.pin.on(&cpus, args.guest.smp.into())?;
    let configs = BenchConfig::from_args(args, &pinning);
    for config in &configs {
        check_size(args.size, &config.workloads, &config.frame_bytes)?;
        check_gap(args, &config.workloads)?;
        check_map(config.driver, config.bar2_map)?;
        check_interrupts(config)?;
    }
    check_spin(args.spin)?;
    host_memory::check_guest(args.guest.mem, MIN_GUEST_MEMORY)?;
    check_append(&args.append)?;
    faults::check(args, &configs, cpus.len())?;
    check_blocks(&configs)?;
    host_memory::check(args.size, args.guest.mem)?;
    Ok(configs)
}

fn check_size(size: u64, workloads: &[Workload], frame_bytes: &[u64]) -> anyhow::Result<()> {
    if !size.is_power_of_two() || size < MIN_SIZE {
        return Err(usage(format!(
            "--size {}: the size of a PCI BAR is a power of two, and the benchmark's structures need 4M of it; try \
             --size {}M",
            Bytes(size),
            size.next_power_of_two().max(MIN_SIZE) >> 20
        )));
    }
    if workloads.contains(&Workload::Stream) && size < MIN_FOR_STREAMS {
        return Err(usage(format!(
            "--size {}M is too small for the ring of a stream; try --size {}M",
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
            "--spin {}: more than {} is busy polling; use --mode poll or a shorter time",
            humantime::format_duration(spin),
            humantime::format_duration(MAX_SPIN)
        ))),
        None => Ok(()),
    }
}

/// Refuses modes that need interrupts with a driver that delivers none.
fn check_interrupts(config: &BenchConfig) -> anyhow::Result<()> {
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
        "{flag} needs interrupts, which {} does not deliver (the device has MSI-X only); use --driver uio_pci_msix, or {without}",
        config.driver.name()
    )))
}

/// Refuses workloads without blocks in these modes. The baseline is measured without blocks.
fn check_blocks(configs: &[BenchConfig]) -> anyhow::Result<()> {
    let asked = configs.iter().any(|config| !config.workloads.is_empty());
    if !asked || configs.iter().any(|config| !plan_blocks::blocks(config).is_empty()) {
        return Ok(());
    }
    Err(usage("--workload storm: a polling guest is not rung; add --mode irq"))
}

/// Refuses kernel parameters that the benchmark sets or that do not fit.
fn check_append(append: &str) -> anyhow::Result<()> {
    if let Some(word) = append.split_whitespace().find(|word| word.starts_with("ivshmem.")) {
        return Err(usage(format!(
            "--append {word}: the benchmark sets the ivshmem parameters; use --driver, --bar2-map or --timeout-scale"
        )));
    }
    if append.len() > MAX_APPEND {
        return Err(usage(format!("--append: {} bytes are too long; the limit is {MAX_APPEND}", append.len())));
    }
    Ok(())
}

/// A contention block has a time limit, within which it needs at least three messages.
fn check_gap(args: &BenchArgs, workloads: &[Workload]) -> anyhow::Result<()> {
    let max_gap = plan_blocks::contention_limit(args.full) / 3;
    match args.gap.filter(|gap| *gap > max_gap && workloads.contains(&Workload::Contention)) {
        Some(gap) => Err(usage(format!(
            "--gap {}: fewer than three messages per contention block; use --gap {}, or --workload paced",
            humantime::format_duration(gap),
            humantime::format_duration(max_gap)
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

/// A warning for each flag that does not affect the measurement.
pub(super) fn warnings(args: &BenchArgs, configs: &[BenchConfig]) -> Vec<String> {
    let blocks: Vec<Block> = configs.iter().flat_map(plan_blocks::blocks).collect();
    let has = |one_of: &[Workload]| blocks.iter().any(|block| one_of.contains(&block.workload));
    let spins = blocks.iter().any(|block| [block.host_wait, block.guest_wait].contains(&WaitMode::Hybrid));
    let gap = blocks.iter().any(|block| block.conditions.gap_ns.is_some());
    let open_loop = has(&[Workload::Openloop]);
    let round_trips = has(&[Workload::Pingpong, Workload::Paced]);
    let flags = [
        ("--spin", args.spin.is_some(), spins, "hybrid waits", "--mode hybrid"),
        ("--rate", !args.rate.is_empty(), open_loop, "the open loop", "--workload openloop"),
        ("--p99-limit", args.p99_limit.is_some(), open_loop, "the open loop", "--workload openloop"),
        ("--aa", args.aa, round_trips, "pingpong and paced", "--workload pingpong,paced"),
        ("--matrix", args.matrix, round_trips, "pingpong and paced", "--workload pingpong,paced"),
        ("--gap", args.gap.is_some(), gap, "workloads with a gap", "--workload paced"),
        ("--load", args.load.is_some(), has(&[Workload::Contention]), "contention", "--workload contention"),
    ];
    let ignored = flags.into_iter().filter(|(_, is_given, has_effect, ..)| *is_given && !has_effect);
    ignored
        .map(|(flag, _, _, scope, hint)| {
            format!("warning: {flag} is ignored: it applies to {scope} only. Hint: add {hint}")
        })
        .collect()
}

#[cfg(test)]
pub(super) mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct TestCli {
        #[command(flatten)]
        bench: BenchArgs,
    }

    pub(in crate::bench) fn parse(arguments: &str) -> anyhow::Result<BenchConfig> {
        Ok(parse_with_args(arguments)?.1.remove(0))
    }

    pub(in crate::bench) fn parse_with_args(arguments: &str) -> anyhow::Result<(BenchArgs, Vec<BenchConfig>)> {
        let words = std::iter::once("bench").chain(arguments.split_whitespace());
        let args = TestCli::try_parse_from(words)?.bench;
        let configs = checked_configs(&args)?;
        Ok((args, configs))
    }

    #[test]
    fn unusable_size_names_a_usable_one() {
        for (size, hint) in [("100M", "--size 128M"), ("16M", "--size 32M"), ("4K", "--size 8M"), ("3", "--size 8M")] {
            let error = parse(&format!("--size {size}")).unwrap_err().to_string();
            assert!(error.starts_with(&format!("--size {size}")) && error.contains(hint), "{error}");
        }
        assert!(parse("--size 16M --workload pingpong").is_ok());
    }

    #[test]
    fn refuses_spin_that_is_busy_polling() {
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
        // A comparison of drivers: a driver without interrupts polls.
        let (_, configs) = parse_with_args("--driver uio_pci_generic,vfio-pci --mode irq").unwrap();
        let modes: Vec<_> = configs.iter().map(|config| config.modes.clone()).collect();
        assert_eq!(modes, [[WaitMode::Poll], [WaitMode::Irq]]);
        let (_, configs) = parse_with_args("--driver uio_pci_generic,uio_pci_msix --mode poll,irq --matrix").unwrap();
        assert_eq!((configs[0].modes.as_slice(), configs[0].matrix), (&[WaitMode::Poll][..], false));
        assert_eq!((configs[1].modes.as_slice(), configs[1].matrix), (&[WaitMode::Poll, WaitMode::Irq][..], true));
    }

    #[test]
    fn auto_driver_supports_matrix_and_map() {
        assert_eq!(parse("--mode poll --matrix").unwrap().driver, GuestDriver::UioPciMsix);
        assert_eq!(parse("--mode poll --bar2-map wb").unwrap().driver, GuestDriver::UioPciMsix);
    }

    #[test]
    fn refuses_workload_without_blocks() {
        refused("--mode poll --workload storm", "--mode irq");
        assert!(parse("--mode poll --workload storm,idle").is_ok() && parse("--workload baseline").is_ok());
    }

    #[test]
    fn refuses_kernel_parameters_of_the_benchmark() {
        refused("--append ivshmem.driver=none", "--driver");
        refused(&format!("--append {}", "x".repeat(2_000)), "the limit is 1792");
        assert!(parse("--append quiet").is_ok());
    }

    #[test]
    fn refuses_gap_without_room_for_messages() {
        refused("--gap 200ms", "--gap 100ms, or --workload paced");
        assert!(parse("--gap 200ms --full").is_ok() && parse("--gap 10s --workload paced").is_ok());
    }

    #[test]
    fn parser_refuses_impossible_numbers() {
        for words in ["--ready-timeout 0s", "--p99-limit 0", "--kvm-timeout 0s", "--rate x", "--seed x", "--smp 0"] {
            let error = parse(words).unwrap_err().to_string();
            assert!(error.contains("expected a ") && !error.contains("invalid digit"), "{words}: {error}");
        }
    }

    #[test]
    fn auto_driver_depends_on_the_modes() {
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
    fn flag_without_effect_has_a_warning_with_a_hint() {
        for (words, hint) in [
            ("--spin 50us", "--mode hybrid"),
            ("--rate 1000", "--workload openloop"),
            ("--p99-limit 1ms", "--workload openloop"),
            ("--aa --workload frame", "--workload pingpong,paced"),
            ("--matrix --workload frame", "--workload pingpong,paced"),
            ("--gap 5ms --workload pingpong", "--workload paced"),
            ("--load 2 --workload paced", "--workload contention"),
        ] {
            let warnings = warned(words);
            assert!(warnings.len() == 1 && warnings[0].contains(hint), "{words}: {warnings:?}");
        }
    }

    #[test]
    fn flags_with_effect_have_no_warning() {
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
