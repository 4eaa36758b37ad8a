//! Checks the share of the instrument overhead in the latencies.

use super::{Outcome, not_applicable, outcome};
use crate::io::run::Run;
use bench_model::Workload;
use bench_model::units::duration;
use statistics::median;

/// Share of a median from which there is a warning.
pub(crate) const WARNED_FROM: f64 = 0.05;
/// Share from which the check fails: most of the latency is then instrument overhead.
const FAILED_FROM: f64 = 0.5;

/// The instrument overhead (empty operation) is less than half of the smallest median that includes it. From 5 % on
/// there is a warning.
pub(super) fn instrument_is_small(run: &Run) -> Outcome {
    let Some((empty, median)) = share_of_smallest_median(run) else {
        return not_applicable("no empty operation or no round trip was measured");
    };
    let share = empty / median;
    let detail = format!(
        "{} of the p50 of the fastest block, {}, is {:.1} %{}",
        duration(empty),
        duration(median),
        share * 100.0,
        if share < WARNED_FROM { "" } else { ": see the warning" }
    );
    let fault = (share >= FAILED_FROM).then(|| detail.clone());
    outcome(fault.as_slice(), detail)
}

/// The empty operation and the smallest pingpong median, in nanoseconds.
pub(crate) fn share_of_smallest_median(run: &Run) -> Option<(f64, f64)> {
    let empty = run.measured().overhead?.empty_operation_ns;
    let medians = run
        .blocks()
        .filter(|block| block.plan().workload == Workload::Pingpong && !block.plan().conditions.full_stamps)
        .filter_map(|block| median(block.ok_rows().filter_map(|row| row.rtt_ns)));
    let least = medians.min().filter(|&median| median > 0)?;
    Some((empty, least as f64))
}
