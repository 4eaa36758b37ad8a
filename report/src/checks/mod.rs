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
pub mod clocks;
pub mod content;
pub mod doorbells;
pub mod overhead;
pub mod placement;
pub mod record;
pub mod storm;

use crate::environment::Environment;
use crate::result::{SelfCheck, Verdict};
use crate::run::Run;

/// Runs every check, in the order of their numbers. `environment` is what the run claims of itself.
#[must_use]
pub fn all(run: &Run, environment: &Environment) -> Vec<SelfCheck> {
    vec![
        ceilings::below_ceiling(run),
        content::bytes_verified(run),
        content::acks_in_sequence(run),
        doorbells::none_lost(run),
        storm::last_always_seen(run),
        doorbells::no_wakeup_lost(run),
        doorbells::waits_as_asked(run),
        clocks::legs_sum(run),
        ceilings::verified_for_real(run),
        clocks::offset_stable(run),
        acceleration::as_claimed(run, environment),
        placement::stayed(run),
        overhead::instrument_is_small(run),
        record::every_operation_ok(run),
        record::completed(run),
    ]
}

/// Faults that are told one by one; more would hide the rest of the summary.
const TOLD: usize = 2;

/// Passes without faults and tells what was `seen`, or fails and tells the first faults.
fn judge(id: u32, name: &str, faults: &[String], seen: String) -> SelfCheck {
    let (pass, detail) = match faults.len() {
        0 => (Verdict::Pass, seen),
        n if n <= TOLD => (Verdict::Fail, faults.join("; ")),
        n => (Verdict::Fail, format!("{}; and {} more", faults[..TOLD].join("; "), n - TOLD)),
    };
    SelfCheck { id, name: name.to_owned(), pass, detail }
}

/// There is nothing to look at, or nothing that can be judged.
fn not_applicable(id: u32, name: &str, why: impl Into<String>) -> SelfCheck {
    SelfCheck { id, name: name.to_owned(), pass: Verdict::NotApplicable, detail: why.into() }
}
