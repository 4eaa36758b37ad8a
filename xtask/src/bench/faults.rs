//! Refuses faults that no block can take: the run would pass although it must fail.

use bench_model::{Block, Fault};

use super::config::BenchConfig;
use super::options::BenchArgs;
use super::plan_blocks;
use crate::arguments::AutoOr;
use crate::exit_status::usage;
use bench_model::Accelerator;

/// At least one driver's run must have blocks that the fault needs.
pub(super) fn check(args: &BenchArgs, configs: &[BenchConfig], cpus: usize) -> anyhow::Result<()> {
    let Some(fault) = args.fault else { return Ok(()) };
    let name = fault.name();
    if fault == Fault::ClaimKvm && args.guest.accel != AutoOr::Only(Accelerator::Tcg) {
        return Err(usage("--fault claim-kvm needs an emulated guest: --accel tcg"));
    }
    // Without pinning, no CPU is the wrong one.
    if fault == Fault::Wander && (cpus < 2 || configs.iter().any(|config| config.pinning.host.is_none())) {
        return Err(usage("--fault wander needs a pinned initiator and at least two CPUs: --pin auto"));
    }
    let Some(needed) = fault.needs() else { return Ok(()) };
    let blocks: Vec<Block> = configs.iter().flat_map(plan_blocks::blocks).collect();
    // A block of an open loop lasts two seconds or more, so it reaches message STALLS_AT.
    let is_too_slow = fault == Fault::Stall && args.rate.iter().any(|&rate| rate < 400);
    if is_too_slow || !blocks.iter().any(needed.is_met_by) {
        return Err(usage(format!("--fault {name} needs {}: {}", needed.blocks, needed.hint)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::flag_checks::tests::parse;
    use super::super::host_info::cores;

    fn refused(words: &str) -> Option<String> {
        parse(&format!("--pin host={} {words}", cores()[0])).err().map(|error| error.to_string())
    }

    #[test]
    fn fault_without_place_names_missing_flags() {
        for (words, hint) in [
            ("drop-doorbell --mode irq --workload storm", "--workload pingpong --mode irq"),
            ("drop-doorbell --mode irq --workload idle", "--workload pingpong --mode irq"),
            ("drop-doorbell --mode irq --workload stream", "--workload pingpong --mode irq"),
            ("drop-doorbell --mode hybrid --workload pingpong", "--workload pingpong --mode irq"),
            ("drop-doorbell --mode irq --workload frame", "--workload pingpong --mode irq"),
            ("drop-doorbell --mode irq --workload contention", "--workload pingpong --mode irq"),
            ("uncounted-doorbell --mode irq --workload baseline", "--workload pingpong --mode irq"),
            ("drop-answer --mode poll --workload pingpong", "--workload pingpong --mode irq"),
            ("drop-answer --mode irq --workload idle", "--workload pingpong --mode irq"),
            ("sleepy-host --workload baseline", "--workload pingpong --mode poll"),
            ("sleepy-host --mode poll --workload idle", "--workload pingpong --mode poll"),
            ("sleepy-guest --mode poll --workload storm", "--workload pingpong --mode poll"),
            ("slow-stamps --mode irq --workload pingpong", "--workload pingpong --mode poll"),
            ("wander --workload baseline", "--workload pingpong"),
            ("wander --workload storm --mode poll", "--workload pingpong"),
            ("drifting-clock --workload baseline", "--workload pingpong"),
            ("early-ack --workload paced", "--workload pingpong"),
            ("wrong-hash --workload pingpong", "--workload frame"),
            ("blind-storm --mode poll", "--workload storm --mode irq"),
            ("stall --workload openloop --rate 1000,200", "--workload openloop --rate 1000"),
            ("claim-kvm", "--accel tcg"),
        ] {
            // With one CPU, the initiator cannot wander.
            let hint = if words.starts_with("wander") && cores().len() < 2 { "--pin auto" } else { hint };
            let error = refused(&format!("--fault {words}")).unwrap_or_default();
            assert!(error.contains(hint), "{words}: {error:?}");
        }
    }

    #[test]
    fn fault_is_accepted_where_any_block_fits() {
        for words in [
            "drop-doorbell",
            "uncounted-doorbell --mode irq --workload paced",
            "drop-answer --mode irq --workload frame --full",
            "drop-doorbell --mode poll --workload pingpong --matrix",
            "drop-doorbell --mode irq --workload openloop",
            "sleepy-host --mode poll --workload frame",
            "sleepy-guest --mode poll --workload contention",
            "slow-stamps",
            "drifting-clock --workload idle",
            "stall --workload openloop",
            "claim-kvm --accel tcg --workload baseline",
        ] {
            assert_eq!(refused(&format!("--fault {words}")), None, "{words}");
        }
    }
}
