//! Checks that coalesced doorbells still announce the last message.

use super::{Outcome, not_applicable, outcome_of_blocks};
use crate::io::run::{Run, RunBlock};
use bench_model::Workload;
use bench_model::units::{plural, thousands};
use statistics::total;

/// Where doorbells are rung without waiting for acknowledgement, at least one and at most all of them become
/// interrupts, and the guest sees the last message.
pub(super) fn last_always_seen(run: &Run) -> Outcome {
    let blocks: Vec<RunBlock<'_>> = run.blocks().filter(is_unacknowledged).collect();
    if blocks.is_empty() {
        return not_applicable("no doorbell was rung without waiting for acknowledgement");
    }
    let detail = format!(
        "{} became {}; the last message was seen in {}",
        plural(total(blocks.iter().map(|block| block.measured.counters.rings)), "ring"),
        plural(total(blocks.iter().filter_map(|block| block.measured.counters.interrupts)), "interrupt"),
        plural(blocks.len() as u64, "block")
    );
    outcome_of_blocks(blocks, faults, detail)
}

fn is_unacknowledged(block: &RunBlock<'_>) -> bool {
    let asked = block.plan();
    asked.guest_wait.blocks() && (asked.workload == Workload::Storm || asked.conditions.always_ring)
}

fn faults(block: &RunBlock<'_>) -> Vec<String> {
    let counters = &block.measured.counters;
    let mut faults = Vec::new();
    // A missing count is not a match.
    let interrupts = counters.interrupts.or(counters.uio_events);
    if interrupts.is_none_or(|count| count == 0 || count > counters.rings) {
        let count = interrupts.map_or("no count of".to_owned(), thousands);
        faults.push(format!("{}, {count} interrupts", plural(counters.rings, "ring")));
    }
    if !block.measured.traffic.as_ref().is_some_and(|traffic| traffic.last_seen) {
        faults.push("the guest did not see the last message".to_owned());
    }
    faults
}
