//! What a run verifies about itself from its rows and counters. Numbers are the same in every run; those that are
//! missing here need figures that this data does not hold.
//!
//! - [`record`]: did everything end as it should, and is all of it there (14, 15)?
//! - [`content`]: did the right bytes arrive, and was each answer the answer to its message (2, 3)?
//! - [`doorbells`]: did every doorbell wake its receiver, and did nobody block who should not (4, 6, 7)?
//! - [`clocks`]: do the stamps make sense (8, 10)?

pub mod clocks;
pub mod content;
pub mod doorbells;
pub mod record;

use crate::result::{SelfCheck, Verdict};
use crate::run::Run;

/// Runs every check, in the order of their numbers.
#[must_use]
pub fn all(run: &Run) -> Vec<SelfCheck> {
    vec![
        content::bytes_verified(run),
        content::acks_in_sequence(run),
        doorbells::none_lost(run),
        doorbells::no_wakeup_lost(run),
        doorbells::waits_as_asked(run),
        clocks::legs_sum(run),
        clocks::offset_stable(run),
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
