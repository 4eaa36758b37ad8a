//! Self-checks of a run, from its rows and counters.
//!
//! - `completeness`: every operation ended ok, and the record is whole
//! - `integrity`: the right bytes arrived, and each acknowledgement belongs to its message
//! - `peak_bandwidth`: no copy or hash was faster than the machine allows
//! - `doorbells`: doorbells are counted, wake-ups arrive, wait modes hold
//! - `storm`: coalesced doorbells still announce the last message
//! - `timestamps`: timestamps are in order, and the clocks are stable
//! - `acceleration`: accelerator and irqfd are as claimed
//! - `instrument_overhead`: the instrument's share of a round trip is small
//! - `placement`: threads stayed on their CPUs

mod acceleration;
mod completeness;
mod doorbells;
pub(super) mod instrument_overhead;
mod integrity;
mod peak_bandwidth;
mod placement;
mod storm;
mod timestamps;

use crate::io::run::{Run, RunBlock};
use crate::result::environment::Environment;
use crate::result::self_check::{CheckOutcome, SelfCheck};

/// A self-check before its evaluation.
struct CheckRule {
    /// Stable across runs and versions.
    id: u32,
    /// The assertion.
    name: &'static str,
    /// Evaluates it. The environment is what the run claims about itself.
    outcome: fn(&Run, &Environment) -> Outcome,
}

/// How a check ended, and details with numbers.
type Outcome = (CheckOutcome, String);

const fn check(id: u32, name: &'static str, outcome: fn(&Run, &Environment) -> Outcome) -> CheckRule {
    CheckRule { id, name, outcome }
}

/// The check that the run was completed.
pub(crate) const COMPLETENESS: u32 = 15;

/// Every check, in the order of their numbers.
const CHECKS: [CheckRule; 15] = [
    check(1, "no copy is faster than the peak bandwidth", |run, _| peak_bandwidth::within_peak(run)),
    check(2, "bytes verified = bytes counted, and a corrupted frame is refused", |run, _| {
        integrity::bytes_verified(run)
    }),
    check(3, "every acknowledgement carries its sequence number", |run, _| integrity::acks_in_sequence(run)),
    check(4, "irq, closed loop: rings = interrupts = events", |run, _| doorbells::ring_event_counts(run)),
    check(5, "storm: 1 ≤ interrupts ≤ rings, and the last message is seen", |run, _| storm::last_always_seen(run)),
    check(6, "no wake-up was lost", |run, _| doorbells::lost_wakeups(run)),
    check(7, "poll takes no interrupts and does not block, irq blocks for every operation", |run, _| {
        doorbells::wait_mode(run)
    }),
    check(8, "legs sum to the total, and nothing arrives before it was sent", timestamps::legs_sum),
    check(9, "verifying takes as long as hashing does", |run, _| peak_bandwidth::hash_time_plausible(run)),
    check(10, "the clocks' offset is stable across each block", |run, _| timestamps::offset_stable(run)),
    check(11, "acceleration and irqfd are as claimed", acceleration::accelerator),
    check(12, "threads stayed on their CPUs", |run, _| placement::affinity(run)),
    check(13, "the empty operation is small compared with the medians that include it", |run, _| {
        instrument_overhead::instrument_is_small(run)
    }),
    check(14, "every operation ended ok", |run, _| completeness::every_operation_ok(run)),
    check(COMPLETENESS, "the run was completed and its record is whole", |run, _| completeness::completed(run)),
];

/// Runs every check. `environment` is what the run claims about itself.
#[must_use]
pub fn all(run: &Run, environment: &Environment) -> Vec<SelfCheck> {
    let evaluated = |&CheckRule { id, name, outcome }: &CheckRule| {
        let (pass, detail) = outcome(run, environment);
        SelfCheck { id, name: name.to_owned(), pass, detail }
    };
    CHECKS.iter().map(evaluated).collect()
}

/// Faults listed one by one. A longer list would hide the rest of the summary.
const MAX_LISTED: usize = 2;

/// Passes without faults, with `detail`. Otherwise fails with the first faults.
fn outcome(faults: &[String], detail: String) -> Outcome {
    match faults.len() {
        0 => (CheckOutcome::Pass, detail),
        n if n <= MAX_LISTED => (CheckOutcome::Fail, faults.join("; ")),
        n => (CheckOutcome::Fail, format!("{}; and {} more", faults[..MAX_LISTED].join("; "), n - MAX_LISTED)),
    }
}

/// The same for the faults of each block.
fn outcome_of_blocks<'a, F: IntoIterator<Item = String>>(
    blocks: impl IntoIterator<Item = RunBlock<'a>>,
    faults: impl Fn(&RunBlock<'a>) -> F,
    detail: String,
) -> Outcome {
    let named = |block: RunBlock<'a>| faults(&block).into_iter().map(move |fault| format!("{}: {fault}", block.name()));
    outcome(&blocks.into_iter().flat_map(named).collect::<Vec<_>>(), detail)
}

/// The check does not apply: there are no data for it, or they do not allow an outcome.
fn not_applicable(why: impl Into<String>) -> Outcome {
    (CheckOutcome::NotApplicable, why.into())
}
