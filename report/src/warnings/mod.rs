//! What makes a run no failure but that its reader should know, each with what to do about it.

mod disturbed;
mod environment;

use crate::checks::overhead::{WARNED_FROM, empty_beside_least_median};
use crate::environment::Environment;
use crate::result::Warning;
use crate::run::{Run, RunBlock, total};
use crate::units::{counted, duration, grouped};
use environment::Handshakes;

/// Everything that the data of a run calls for, and after it what the environment in which it took place does. `config` is
/// what was asked for.
#[must_use]
pub fn of(run: &Run, environment: &Environment, config: &serde_json::Value) -> Vec<Warning> {
    let placement = run.blocks().find_map(|block| block.measured.placement.as_ref());
    let pinning = placement.map(|seen| seen.wanted.clone()).unwrap_or_default();
    let of_run = [
        unfinished_block(run),
        no_interrupts(run),
        uncached_memory(run),
        clocks_moved(run),
        unsent(run),
        guard_woke(run),
        disturbed::spin(run, environment, config),
        disturbed::put_off(run),
        instrument_shows(run),
        unhealthy_guest(run, environment),
    ];
    let moved = run.blocks().filter(|block| !block.measured.clock.is_stable()).count();
    let handshakes = Handshakes { blocks: run.blocks().count(), moved };
    of_run.into_iter().flatten().chain(environment::of(environment, &pinning, handshakes)).collect()
}

fn unfinished_block(run: &Run) -> Option<Warning> {
    let rows = run.stray_rows().count() as u64;
    (rows > 0).then(|| Warning {
        message: format!("{} of a block that was not finished are in no figure", counted(rows, "row")),
        cure: "see why the run ended early, and run it again".to_owned(),
    })
}

fn no_interrupts(run: &Run) -> Option<Warning> {
    let guest = &run.measured().guest;
    let wanted = run.blocks().any(|block| block.asked().guest_wait.blocks());
    (wanted && !guest.interrupts).then(|| Warning {
        message: "the guest says that doorbells do not reach its user space".to_owned(),
        cure: if guest.interrupts_missing.is_empty() {
            "take a driver that has MSI-X interrupts, such as uio_pci_msix".to_owned()
        } else {
            guest.interrupts_missing.clone()
        },
    })
}

fn uncached_memory(run: &Run) -> Option<Warning> {
    let guest = &run.measured().guest;
    let load = guest.bar2_ns_per_load.filter(|_| guest.bar2_cached == Some(false))?;
    Some(Warning {
        message: format!(
            "the guest's mapping of the memory ({}) is not cached: {load:.0} ns per load; it sets the bandwidth, not the \
             machine",
            guest.bar2_map
        ),
        cure: "--driver uio_pci_msix --bar2-map wb moves BAR2 to where it can be mapped write-back".to_owned(),
    })
}

fn clocks_moved(run: &Run) -> Option<Warning> {
    let moved: Vec<RunBlock<'_>> = run.blocks().filter(|block| !block.measured.clock.is_stable()).collect();
    let (first, count) = (moved.first()?, moved.len() as u64);
    let clock = &first.measured.clock;
    Some(Warning {
        message: format!(
            "the clocks' offset moved in {}, which give no one-way figures; first {}, by {} between looks that know it to ± {}",
            counted(count, "block"),
            first.name(),
            duration((clock.after_ns - clock.before_ns).abs()),
            duration(clock.bound_ns)
        ),
        cure: "run again on a machine at rest and with pinned threads; round trips are not affected".to_owned(),
    })
}

/// What waited longest is missing from the figures, and how much of it depends on the time limit.
fn unsent(run: &Run) -> Option<Warning> {
    let cut: Vec<RunBlock<'_>> = run.blocks().filter(|block| block.measured.unsent > 0).collect();
    let first = cut.first()?;
    let of = |block: &RunBlock<'_>| block.measured.operations.saturating_add(block.measured.unsent);
    Some(Warning {
        message: format!(
            "{} of {} were due and not sent when their block's time was up, first in {}: latencies from due lie too low",
            grouped(total(cut.iter().map(|block| block.measured.unsent))),
            counted(total(cut.iter().map(of)), "message"),
            first.name(),
        ),
        cure: "offer rates that can be carried: --rate".to_owned(),
    })
}

/// Beside busy threads of the run's own, a doorbell that comes late is what was asked for.
fn guard_woke(run: &Run) -> Option<Warning> {
    let others = run.blocks().filter(|block| !block.asked().conditions.is_crowded());
    let late = total(others.map(|block| {
        let counters = &block.measured.counters;
        counters.guest_deadline_wakeups.saturating_add(counters.host_deadline_wakeups)
    }));
    (late > 0).then(|| Warning {
        message: format!("{} ended by the guard because the doorbell came late", counted(late, "wait")),
        cure: "the machine stalled: close what else runs on it, or give the run CPUs of its own".to_owned(),
    })
}

fn instrument_shows(run: &Run) -> Option<Warning> {
    let (empty, median) = empty_beside_least_median(run)?;
    (empty >= median * WARNED_FROM).then(|| Warning {
        message: format!(
            "taking the stamps costs {} of the least median, {}: {:.0} % of that figure is the instrument",
            duration(empty),
            duration(median),
            empty / median * 100.0
        ),
        cure: "take it off when comparing with figures that were taken otherwise; ratios to slower ways suffer little"
            .to_owned(),
    })
}

/// A guest whose memory is much slower than its host's has something between it and the memory. Under emulation that is
/// known.
fn unhealthy_guest(run: &Run, environment: &Environment) -> Option<Warning> {
    const HEALTHY: f64 = 1.5;
    let largest = run.measured().ceilings.iter().max_by_key(|ceiling| ceiling.size_bytes)?;
    let ratio = largest.host.heap_to_heap / largest.guest.heap_to_heap;
    (environment.accel == "kvm" && ratio > HEALTHY).then(|| Warning {
        message: format!("the guest copies its own memory {ratio:.1} times slower than the host does"),
        cure: "see that the virtual CPU has a core of its own, and that the guest's memory is not swapped or scattered"
            .to_owned(),
    })
}
