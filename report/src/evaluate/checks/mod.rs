//! Self-checks of a run, from its rows and counters. Each has the same number in every run.
//!
//! - [`completeness`]: every operation ended ok, and the record is whole (14, 15)
//! - [`integrity`]: the right bytes arrived, and each acknowledgement belongs to its message (2, 3)
//! - [`ceilings`]: no copy or hash was faster than the machine allows (1, 9)
//! - [`doorbells`]: doorbells are counted, wake-ups arrive, wait modes hold (4, 6, 7)
//! - [`storm`]: coalesced doorbells still announce the last message (5)
//! - [`timestamps`]: timestamps are in order, and the clocks are stable (8, 10)
//! - [`acceleration`]: accelerator and irqfd are as claimed (11)
//! - [`instrument_overhead`]: the instrument's share of a round trip is small (13)
//! - [`placement`]: threads stayed on their CPUs (12)

pub mod acceleration;
pub mod ceilings;
pub mod completeness;
pub mod doorbells;
pub mod instrument_overhead;
pub mod integrity;
pub mod placement;
pub mod storm;
pub mod timestamps;

use crate::io::run::Run;
use crate::result::environment::Environment;
use crate::result::self_check::{CheckOutcome, SelfCheck};

/// Runs every check, in the order of their numbers. `environment` is what the run claims about itself.
#[must_use]
pub fn all(run: &Run, environment: &Environment) -> Vec<SelfCheck> {
    vec![
        ceilings::within_peak(run),
        integrity::bytes_verified(run),
        integrity::acks_in_sequence(run),
        doorbells::ring_event_counts(run),
        storm::last_always_seen(run),
        doorbells::lost_wakeups(run),
        doorbells::wait_mode(run),
        timestamps::legs_sum(run),
        ceilings::hash_time_plausible(run),
        timestamps::offset_stable(run),
        acceleration::accelerator(run, environment),
        placement::affinity(run),
        instrument_overhead::instrument_is_small(run),
        completeness::every_operation_ok(run),
        completeness::completed(run),
    ]
}

/// Faults listed one by one. A longer list would hide the rest of the summary.
const TOLD: usize = 2;

/// Passes without faults, with `seen` as detail. Otherwise fails with the first faults.
fn outcome(id: u32, name: &str, faults: &[String], seen: String) -> SelfCheck {
    let (pass, detail) = match faults.len() {
        0 => (CheckOutcome::Pass, seen),
        n if n <= TOLD => (CheckOutcome::Fail, faults.join("; ")),
        n => (CheckOutcome::Fail, format!("{}; and {} more", faults[..TOLD].join("; "), n - TOLD)),
    };
    SelfCheck { id, name: name.to_owned(), pass, detail }
}

/// The check does not apply: there are no data for it, or they do not allow an outcome.
fn not_applicable(id: u32, name: &str, why: impl Into<String>) -> SelfCheck {
    SelfCheck { id, name: name.to_owned(), pass: CheckOutcome::NotApplicable, detail: why.into() }
}
