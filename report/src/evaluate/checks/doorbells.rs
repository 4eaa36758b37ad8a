//! Checks that every doorbell woke its receiver, and that each side waited in its wait mode.

use super::{Outcome, not_applicable, outcome_of_blocks};
use crate::io::run::{Run, RunBlock};
use bench_model::WaitMode;
use bench_model::raw::Counters;
use bench_model::units::{plural, thousands};
use statistics::total;

/// Voluntary context switches that a polling thread may have per block, whatever the number of operations.
const TOLERATED_YIELDS: u64 = 10;

/// In a closed loop, each doorbell is one interrupt and one event for a blocking guest, and one event for a blocking
/// host. Lost doorbells are left to check 6. A guest that reports neither interrupts nor events cannot have blocked.
pub(super) fn ring_event_counts(run: &Run) -> Outcome {
    let blocks: Vec<RunBlock<'_>> = closed_loops(run).filter(RunBlock::any_side_blocks).collect();
    if blocks.is_empty() {
        return not_applicable("no side waited for doorbells");
    }
    let sum = |count: fn(&Counters) -> u64| total(blocks.iter().map(|block| count(&block.measured.counters)));
    let detail = format!(
        "to the guest {}, {}, {}; to the host {}, {}",
        plural(sum(|counters| counters.rings), "ring"),
        plural(sum(|counters| counters.interrupts.unwrap_or(0)), "interrupt"),
        plural(sum(|counters| counters.uio_events.unwrap_or(0)), "event"),
        plural(sum(|counters| counters.guest_rings), "ring"),
        plural(sum(|counters| counters.host_events), "event"),
    );
    outcome_of_blocks(blocks, |block| [lost_to_guest(block), lost_to_host(block)].into_iter().flatten(), detail)
}

fn lost_to_guest(block: &RunBlock<'_>) -> Option<String> {
    let counters = &block.measured.counters;
    let rings = counters.rings.saturating_sub(counters.guest_lost_wakeups);
    let (interrupts, events) = (counters.interrupts, counters.uio_events);
    let counts = [interrupts, events];
    if block.plan().guest_wait == WaitMode::Poll {
        return None;
    }
    let rung = plural(rings, "ring");
    if block.plan().guest_wait == WaitMode::Irq && counts.iter().flatten().all(|&count| count == 0) {
        return Some(format!("{rung}, but the guest reports neither an interrupt nor an event"));
    }
    // A missing count is not a match.
    counts.iter().any(|&count| count != Some(rings)).then(|| {
        let text = |count: Option<u64>| count.map_or("no count of".to_owned(), thousands);
        format!("{rung}, {} interrupts, {} events", text(interrupts), text(events))
    })
}

fn lost_to_host(block: &RunBlock<'_>) -> Option<String> {
    let counters = &block.measured.counters;
    let (rings, events) = (counters.guest_rings.saturating_sub(counters.host_lost_wakeups), counters.host_events);
    (block.plan().host_wait.blocks() && rings != events)
        .then(|| format!("{} by the guest, {} on the host", plural(rings, "ring"), plural(events, "event")))
}

/// No wait timed out whose event never arrived.
pub(super) fn lost_wakeups(run: &Run) -> Outcome {
    let blocks: Vec<RunBlock<'_>> = with_operations(run).filter(RunBlock::any_side_blocks).collect();
    if blocks.is_empty() {
        return not_applicable("no side blocked");
    }
    let waits = total(blocks.iter().map(|block| block.measured.counters.waits()));
    let fault = |block: &RunBlock<'_>| {
        let lost = block.measured.counters.lost_wakeups();
        (lost > 0).then(|| plural(lost, "lost wake-up"))
    };
    outcome_of_blocks(blocks, fault, format!("{}, none lost", plural(waits, "blocking wait")))
}

/// A polling side never blocks, takes no interrupt and does not sleep. In a closed loop, a blocking side blocks once
/// per operation; one in a hundred may find its message after arming. If the other side polls, it may respond before
/// this side blocks: then the two counts must cover all operations, and some must have blocked. A hybrid side may do
/// either.
pub(super) fn wait_mode(run: &Run) -> Outcome {
    let blocks: Vec<RunBlock<'_>> = with_operations(run).collect();
    if blocks.is_empty() {
        return not_applicable("no block was finished");
    }
    let detail = format!(
        "{}: {} blocking waits in the guest and {} on the host",
        plural(blocks.len() as u64, "block"),
        thousands(total(blocks.iter().map(|block| block.measured.counters.guest_waits))),
        thousands(total(blocks.iter().map(|block| block.measured.counters.host_waits))),
    );
    outcome_of_blocks(blocks, |block| [guest_waited(block), host_waited(block)].into_iter().flatten(), detail)
}

/// A polling thread sleeps rarely: for a page fault or a kernel timer.
fn slept(block: &RunBlock<'_>, side: &str, yields: u64) -> Option<String> {
    (yields > (block.operations_with_warmup() / 100).max(TOLERATED_YIELDS)).then(|| {
        format!(
            "the {side} should poll, but it gave its CPU up {} in {}",
            plural(yields, "time"),
            plural(block.operations_with_warmup(), "operation")
        )
    })
}

fn guest_waited(block: &RunBlock<'_>) -> Option<String> {
    let counters = &block.measured.counters;
    if block.plan().guest_wait == WaitMode::Irq {
        if !block.plan().workload.acknowledges_each() {
            return None;
        }
        return blocked_too_seldom(block, "guest", counters.guest_waits, counters.guest_found_armed);
    }
    if block.plan().guest_wait == WaitMode::Hybrid {
        return None;
    }
    let (interrupts, events) = (counters.interrupts.unwrap_or(0), counters.uio_events.unwrap_or(0));
    (counters.guest_waits > 0 || interrupts > 0 || events > 0)
        .then(|| {
            format!(
                "the guest should poll, but it blocked {} and took {} and {}",
                plural(counters.guest_waits, "time"),
                plural(interrupts, "interrupt"),
                plural(events, "event")
            )
        })
        .or_else(|| slept(block, "guest", counters.guest_yields))
}

fn host_waited(block: &RunBlock<'_>) -> Option<String> {
    let counters = &block.measured.counters;
    if block.plan().host_wait == WaitMode::Irq {
        if !block.plan().workload.acknowledges_each() {
            return None;
        }
        return blocked_too_seldom(block, "host", counters.host_waits, counters.host_found_armed);
    }
    if block.plan().host_wait == WaitMode::Hybrid {
        return None;
    }
    (counters.host_waits > 0)
        .then(|| format!("the host should poll, but it blocked {}", plural(counters.host_waits, "time")))
        .or_else(|| slept(block, "host", block.measured.cpu.switches.host.map_or(0, |switches| switches.voluntary)))
}

fn blocked_too_seldom(block: &RunBlock<'_>, side: &str, waits: u64, found_armed: u64) -> Option<String> {
    let operations = block.operations_with_warmup();
    let unblocked = operations.saturating_sub(waits);
    // A polling side may respond before the other can block.
    let other_spins = [block.plan().host_wait, block.plan().guest_wait].iter().any(|wait| *wait != WaitMode::Irq);
    let too_many = !other_spins && unblocked > (operations / 100).max(1);
    (waits == 0 || unblocked > found_armed || too_many).then(|| {
        format!(
            "the {side} blocked {} and found {} after arming, in {}",
            plural(waits, "time"),
            plural(found_armed, "message"),
            plural(operations, "operation")
        )
    })
}

fn with_operations(run: &Run) -> impl Iterator<Item = RunBlock<'_>> {
    run.blocks().filter(|block| block.operations_with_warmup() > 0)
}

fn closed_loops(run: &Run) -> impl Iterator<Item = RunBlock<'_>> {
    with_operations(run).filter(|block| block.plan().workload.acknowledges_each())
}
