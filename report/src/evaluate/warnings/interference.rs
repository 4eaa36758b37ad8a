//! Interference by other load during the run, from the run's own data.

use super::STOP_LOAD;
use crate::io::run::{Run, RunBlock};
use crate::result::environment::Environment;
use crate::result::warning::Warning;
use bench_model::units::{duration, plural, thousands};
use bench_model::{Conditions, WaitMode, Workload};
use statistics::{median, total};

/// Maximum ratio of the calibrated spin budget to the cost of blocking measured later.
const SPIN_FACTOR: f64 = 10.0;

/// Preemptions per operation above which they affect more than the tail.
const PREEMPTED_FROM: f64 = 0.01;

/// Preemptions of a benchmark thread while it exchanges messages. Frames and idle blocks take so long that some
/// preemptions are normal. With busy threads, preemption is the subject of the measurement.
pub(super) fn preempted(run: &Run) -> Option<Warning> {
    let blocks = run.blocks().filter(|block| matches!(block.plan().workload, Workload::Pingpong | Workload::Paced));
    let counted: Vec<(RunBlock<'_>, u64)> =
        blocks.filter_map(|block| Some((block, block.measured.cpu.switches.preemptions()?))).collect();
    let times = total(counted.iter().map(|(_, times)| *times));
    let operations = total(counted.iter().map(|(block, _)| block.measured.operations));
    let timed_per_leg = counted.iter().filter(|(block, _)| block.plan().conditions.full_stamps);
    let timed_per_leg = total(timed_per_leg.map(|(block, _)| block.measured.operations));
    // Cells that are timed per leg have no row in the summary, so the operations of its rows do not add up to the sum.
    let part = match timed_per_leg {
        0 => String::new(),
        count => format!(" ({} of these operations timed per leg)", thousands(count)),
    };
    let message = format!(
        "benchmark threads (initiator, vCPUs) were preempted {} in {} of pingpong and paced{part}",
        plural(times, "time"),
        plural(operations, "operation")
    );
    (times as f64 > operations as f64 * PREEMPTED_FROM).then(|| Warning::new(message, STOP_LOAD))
}

/// Hybrid waits spin for the cost of blocking, which is calibrated with few operations at the start of the run. If
/// later blocks contradict it, all hybrid metrics apply to a wrong spin budget. A budget set by --spin is intended.
pub(super) fn spin(run: &Run, environment: &Environment, config: &serde_json::Value) -> Option<Warning> {
    let spin_ns = environment.hybrid_spin_ns.filter(|_| config["spin_ns"].is_null())? as f64;
    let median_ns = median_of_blocking(run)? as f64;
    let [spin, median] = [spin_ns, median_ns].map(duration);
    let message = format!(
        "hybrid waits spin for {spin}, the cost of blocking when the run began; its p50 was {median} later, so the \
         calibration was disturbed"
    );
    let hint = format!("run again, or with --spin {}us", (median_ns / 1e3).ceil());
    (spin_ns > SPIN_FACTOR * median_ns).then(|| Warning::new(message, hint))
}

/// Median back-to-back round trip with both sides blocking.
fn median_of_blocking(run: &Run) -> Option<u64> {
    let blocks = |block: &RunBlock<'_>| {
        let asked = block.plan();
        let is_plain = asked.workload == Workload::Pingpong && asked.conditions == Conditions::default();
        is_plain && asked.host_wait == WaitMode::Irq && asked.guest_wait == WaitMode::Irq
    };
    let trips = run.blocks().filter(blocks).flat_map(|block| block.ok_rows().filter_map(|row| row.rtt_ns));
    median(trips)
}
