//! What a run verifies about itself from its rows and counters. Numbers are the same in every run; those that are
//! missing here need figures that this data does not hold.
//!
//! - [`record`]: did everything end as it should, and is all of it there (14, 15)?
//! - [`content`]: did the right bytes arrive, and was each answer the answer to its message (2, 3)?
//! - [`ceilings`]: was nothing faster than the machine can be (1, 9)?
//! - [`doorbells`]: did every doorbell wake its receiver, and did nobody block who should not (4, 6, 7)?
//! - [`storm`]: did doorbells that nobody waits for still tell of the last message (5)?
//! - [`clocks`]: do the stamps make sense (8, 10)?
//! - [`acceleration`]: was the guest executed as the run claims (11)?
//! - [`overhead`]: how much of a figure is the instrument (13)?
//! - [`placement`]: did every thread stay on its CPU (12)?

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
use crate::result::{CheckOutcome, SelfCheck};

/// Runs every check, in the order of their numbers. `environment` is what the run claims of itself.
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

/// Faults that are told one by one; more would hide the rest of the summary.
const TOLD: usize = 2;

/// Passes without faults, with `seen` as detail; fails with the first faults.
fn outcome(id: u32, name: &str, faults: &[String], seen: String) -> SelfCheck {
    let (pass, detail) = match faults.len() {
        0 => (CheckOutcome::Pass, seen),
        n if n <= TOLD => (CheckOutcome::Fail, faults.join("; ")),
        n => (CheckOutcome::Fail, format!("{}; and {} more", faults[..TOLD].join("; "), n - TOLD)),
    };
    SelfCheck { id, name: name.to_owned(), pass, detail }
}

/// There is nothing to look at, or nothing that can be judged.
fn not_applicable(id: u32, name: &str, why: impl Into<String>) -> SelfCheck {
    SelfCheck { id, name: name.to_owned(), pass: CheckOutcome::NotApplicable, detail: why.into() }
}
