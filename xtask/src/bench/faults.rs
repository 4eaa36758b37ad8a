//! Whether a fault can be put into what is to be measured: one that cannot would make a run pass that was to fail.

use bench_model::{Block, Fault, WaitMode, Workload};

use super::config::Config;
use super::options::BenchArgs;
use super::plan_blocks;
use crate::arguments::AutoOr;
use crate::exit_status::usage;
use bench_model::Accelerator;

/// A fault of one doorbell is about the twentieth one of a block.
const DOORBELLS: u64 = 20;

/// What must be among the blocks for a fault to be put in and to be noticed.
struct FaultRequirement {
    what: &'static str,
    /// Flags that bring it.
    cure: &'static str,
    is_met_by: fn(&Block) -> bool,
}

/// Of all drivers' runs one at least must have what the fault is about.
pub(super) fn check(args: &BenchArgs, configs: &[Config], cpus: usize) -> anyhow::Result<()> {
    let Some(fault) = args.fault else { return Ok(()) };
    let name = fault.name();
    match fault {
        Fault::ClaimKvm if args.accel != AutoOr::Only(Accelerator::Tcg) => {
            return Err(usage("--fault claim-kvm may be true unless the guest is emulated: --accel tcg"));
        }
        // A thread that may be anywhere cannot leave its place.
        Fault::Wander if cpus < 2 || configs.iter().any(|config| config.pinning.host.is_none()) => {
            return Err(usage("--fault wander needs an initiator that stays on one of two CPUs or more: --pin auto"));
        }
        _ => {}
    }
    let Some(need) = requirement(fault) else { return Ok(()) };
    let blocks: Vec<Block> = configs.iter().flat_map(plan_blocks::blocks).collect();
    // It lies at the three-hundredth message of a block, which lasts for a second at the most.
    let is_too_slow = fault == Fault::Stall && args.rate.iter().any(|&rate| rate < 400);
    if is_too_slow || !blocks.iter().any(need.is_met_by) {
        return Err(usage(format!("--fault {name} needs {}: {}", need.what, need.cure)));
    }
    Ok(())
}

fn requirement(fault: Fault) -> Option<FaultRequirement> {
    let (what, cure, is_met_by): (_, _, fn(&Block) -> bool) = match fault {
        Fault::ShortRead | Fault::WrongHash | Fault::CorruptFrame | Fault::SkipVerify | Fault::ShortVerify => {
            ("frames", "--workload frame", |block| block.workload == Workload::Frame)
        }
        Fault::EarlyAck | Fault::WrongStamp => {
            ("round trips", "--workload pingpong", |block| block.workload == Workload::Pingpong)
        }
        // Beside a doorbell's way the host's own time may be small.
        Fault::SlowStamps => ("round trips of two that poll", "--workload pingpong --mode poll", |block| {
            block.workload == Workload::Pingpong && is_of(block, WaitMode::Poll, WaitMode::Poll)
        }),
        // Elsewhere doorbells become one interrupt, or come where nobody blocks.
        Fault::UncountedDoorbell | Fault::DropDoorbell | Fault::DropAnswer => {
            ("doorbells that are answered one by one", "--workload pingpong --mode irq", |block| {
                block.workload.is_closed_loop()
                    && is_of(block, WaitMode::Irq, WaitMode::Irq)
                    && surely_done(block) >= DOORBELLS
            })
        }
        Fault::BlindStorm => ("a storm of doorbells", "--workload storm --mode irq", |block| {
            block.workload == Workload::Storm && block.guest_wait.blocks()
        }),
        Fault::SleepyHost => ("a host that polls for answers", "--workload pingpong --mode poll", |block| {
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
    Some(FaultRequirement { what, cure, is_met_by })
}

fn is_of(block: &Block, host: WaitMode, guest: WaitMode) -> bool {
    (block.host_wait, block.guest_wait) == (host, guest)
}

/// Operations of a block however little time they get.
fn surely_done(block: &Block) -> u64 {
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
    fn a_fault_that_cannot_be_put_in_names_what_to_add() {
        for (words, cure) in [
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
            // On a machine with one CPU nobody can wander, whatever is measured.
            let cure = if words.starts_with("wander") && cores().len() < 2 { "--pin auto" } else { cure };
            let error = refused(&format!("--fault {words}")).unwrap_or_default();
            assert!(error.contains(cure), "{words}: {error:?}");
        }
    }

    #[test]
    fn what_a_fault_needs_is_found_wherever_it_is() {
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
