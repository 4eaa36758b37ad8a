//! Refuses faults that no block can take: the run would pass although it must fail.

use bench_model::{Block, Fault, WaitMode, Workload};

use super::config::BenchConfig;
use super::options::BenchArgs;
use super::plan_blocks;
use crate::arguments::AutoOr;
use crate::exit_status::usage;
use bench_model::Accelerator;

/// A fault of one doorbell concerns the twentieth of a block.
const DOORBELLS: u64 = 20;

/// The blocks that a fault needs.
struct FaultRequirement {
    blocks: &'static str,
    /// Flags that add such blocks.
    hint: &'static str,
    is_met_by: fn(&Block) -> bool,
}

/// At least one driver's run must have blocks that the fault needs.
pub(super) fn check(args: &BenchArgs, configs: &[BenchConfig], cpus: usize) -> anyhow::Result<()> {
    let Some(fault) = args.fault else { return Ok(()) };
    let name = fault.name();
    if fault == Fault::ClaimKvm && args.accel != AutoOr::Only(Accelerator::Tcg) {
        return Err(usage("--fault claim-kvm needs an emulated guest: --accel tcg"));
    }
    // Without pinning, no CPU is the wrong one.
    if fault == Fault::Wander && (cpus < 2 || configs.iter().any(|config| config.pinning.host.is_none())) {
        return Err(usage("--fault wander needs a pinned initiator and at least two CPUs: --pin auto"));
    }
    let Some(needed) = requirement(fault) else { return Ok(()) };
    let blocks: Vec<Block> = configs.iter().flat_map(plan_blocks::blocks).collect();
    // It is injected at message 300 of a block, whose time limit is a second.
    let is_too_slow = fault == Fault::Stall && args.rate.iter().any(|&rate| rate < 400);
    if is_too_slow || !blocks.iter().any(needed.is_met_by) {
        return Err(usage(format!("--fault {name} needs {}: {}", needed.blocks, needed.hint)));
    }
    Ok(())
}

fn requirement(fault: Fault) -> Option<FaultRequirement> {
    let (blocks, hint, is_met_by): (_, _, fn(&Block) -> bool) = match fault {
        Fault::ShortRead | Fault::WrongHash | Fault::CorruptFrame | Fault::SkipVerify | Fault::ShortVerify => {
            ("frames", "--workload frame", |block| block.workload == Workload::Frame)
        }
        Fault::EarlyAck | Fault::WrongStamp => {
            ("round trips", "--workload pingpong", |block| block.workload == Workload::Pingpong)
        }
        // Compared with the latency of a doorbell, the host's own time may be small.
        Fault::SlowStamps => ("round trips with both sides polling", "--workload pingpong --mode poll", |block| {
            block.workload == Workload::Pingpong && is_of(block, WaitMode::Poll, WaitMode::Poll)
        }),
        // Elsewhere doorbells coalesce, or the receiver does not block.
        Fault::UncountedDoorbell | Fault::DropDoorbell | Fault::DropAnswer => {
            ("doorbells that are acknowledged one by one", "--workload pingpong --mode irq", |block| {
                block.workload.is_closed_loop()
                    && is_of(block, WaitMode::Irq, WaitMode::Irq)
                    && guaranteed_operations(block) >= DOORBELLS
            })
        }
        Fault::BlindStorm => ("a storm of doorbells", "--workload storm --mode irq", |block| {
            block.workload == Workload::Storm && block.guest_wait.blocks()
        }),
        Fault::SleepyHost => ("a host that polls for acknowledgements", "--workload pingpong --mode poll", |block| {
            block.workload.is_closed_loop() && block.host_wait == WaitMode::Poll
        }),
        Fault::SleepyGuest => ("a guest that polls for messages", "--workload pingpong --mode poll", |block| {
            block.workload.is_closed_loop() && block.guest_wait == WaitMode::Poll
        }),
        Fault::Stall => {
            ("an open loop of 400 messages per second or more", "--workload openloop --rate 1000", |block| {
                block.workload == Workload::Openloop
            })
        }
        Fault::DriftingClock | Fault::Wander => ("a workload with messages", "--workload pingpong", |_| true),
        Fault::ClaimKvm => return None,
    };
    Some(FaultRequirement { blocks, hint, is_met_by })
}

fn is_of(block: &Block, host: WaitMode, guest: WaitMode) -> bool {
    (block.host_wait, block.guest_wait) == (host, guest)
}

/// Operations that a block runs regardless of its time limit.
fn guaranteed_operations(block: &Block) -> u64 {
    block.warmup + if block.limit_ms.is_none() { block.count } else { 0 }
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
