//! Checks the share of the instrument overhead in the latencies.

use crate::evaluate::checks::{not_applicable, outcome};
use crate::io::run::Run;
use crate::result::self_check::SelfCheck;
use bench_model::Workload;
use bench_model::units::duration;

/// Share of a median from which there is a warning.
pub(crate) const WARNED_FROM: f64 = 0.05;
/// Share from which the check fails: most of the latency is then instrument overhead.
const FAILED_FROM: f64 = 0.5;

/// 13: the instrument overhead (empty operation) is less than half of the smallest median that includes it. From 5 % on
/// there is a warning.
#[must_use]
pub fn instrument_is_small(run: &Run) -> SelfCheck {
    const NAME: &str = "the empty operation is small compared with the medians that include it";
    let Some((empty, median)) = share_of_smallest_median(run) else {
        return not_applicable(13, NAME, "no empty operation or no round trip was measured");
    };
    let share = empty / median;
    let seen = format!(
        "{} of the least median, {}, is {:.1} %{}",
        duration(empty),
        duration(median),
        share * 100.0,
        if share < WARNED_FROM { "" } else { ": see the warning" }
    );
    let fault = (share >= FAILED_FROM).then(|| seen.clone());
    outcome(13, NAME, fault.as_slice(), seen)
}

/// The empty operation and the smallest pingpong median, in nanoseconds.
pub(crate) fn share_of_smallest_median(run: &Run) -> Option<(f64, f64)> {
    let empty = run.measured().overhead?.empty_operation_ns;
    let medians = run
        .blocks()
        .filter(|block| block.plan().workload == Workload::Pingpong && !block.plan().conditions.full_stamps)
        .filter_map(|block| {
            let mut trips: Vec<u64> = block.ok_rows().filter_map(|row| row.rtt_ns).collect();
            trips.sort_unstable();
            trips.get(trips.len() / 2).copied()
        });
    let least = medians.min().filter(|&median| median > 0)?;
    Some((empty, least as f64))
}
