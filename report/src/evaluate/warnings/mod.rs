//! Warnings: the run passed its self-checks, but something limits its metrics. Each has a hint (JSON field `cure`).

mod environment;
mod interference;
mod stall;

use crate::evaluate::checks::instrument_overhead::{WARNED_FROM, share_of_smallest_median};
use crate::io::run::{Run, RunBlock};
use crate::result::environment::Environment;
use crate::result::warning::Warning;
use bench_model::units::{duration, plural, thousands};
use environment::Handshakes;
use statistics::total;

/// The hint where other load is the likely cause.
const STOP_LOAD: &str = "stop other load on this machine (top shows it), or give the run CPUs of its own";

/// All warnings: stalls first, then those from the data, then those from the environment.
#[must_use]
pub fn of(run: &Run, environment: &Environment, config: &serde_json::Value) -> Vec<Warning> {
    let placement = run.blocks().find_map(|block| block.measured.placement.as_ref());
    let pinning = placement.map(|seen| seen.wanted.clone()).unwrap_or_default();
    let of_run = [
        unfinished_block(run),
        no_interrupts(run),
        uncached_memory(run, environment),
        clocks_moved(run),
        unsent(run),
        waits_timed_out(run),
        interference::spin(run, environment, config),
        interference::preempted(run),
        instrument_shows(run),
        unhealthy_guest(run, environment),
    ];
    let moved = run.blocks().filter(|block| !block.measured.clock.is_stable()).count();
    let handshakes = Handshakes { blocks: run.blocks().count(), moved };
    stall::of(run)
        .into_iter()
        .chain(of_run.into_iter().flatten())
        .chain(environment::of(environment, &pinning, handshakes))
        .collect()
}

fn unfinished_block(run: &Run) -> Option<Warning> {
    let rows = run.unfinished_rows().count() as u64;
    (rows > 0).then(|| Warning {
        message: format!("{} of an unfinished block are not in the figures", plural(rows, "row")),
        hint: "see self-check 15 for why the run ended early, and run it again".to_owned(),
    })
}

fn no_interrupts(run: &Run) -> Option<Warning> {
    let guest = &run.measured().guest;
    let wanted = run.blocks().any(|block| block.plan().guest_wait.blocks());
    (wanted && !guest.interrupts).then(|| Warning {
        message: "doorbells do not reach the guest's user space".to_owned(),
        hint: if guest.interrupts_missing.is_empty() {
            "use a driver with MSI-X interrupts, such as uio_pci_msix".to_owned()
        } else {
            guest.interrupts_missing.clone()
        },
    })
}

/// Emulation ignores memory types. Earlier guest programs recorded one; such a value has no meaning.
fn uncached_memory(run: &Run, environment: &Environment) -> Option<Warning> {
    if environment.accel == "tcg" {
        return None;
    }
    let guest = &run.measured().guest;
    let load = guest.bar2_ns_per_load.filter(|_| guest.bar2_cached == Some(false))?;
    Some(Warning {
        message: format!(
            "the guest maps the shared memory uncached ({}): {load:.0} ns per load limit the bandwidth",
            guest.bar2_map
        ),
        hint: "--driver uio_pci_msix --bar2-map wb maps BAR2 write-back".to_owned(),
    })
}

fn clocks_moved(run: &Run) -> Option<Warning> {
    let moved: Vec<RunBlock<'_>> = run.blocks().filter(|block| !block.measured.clock.is_stable()).collect();
    let (first, count) = (moved.first()?, moved.len() as u64);
    let clock = &first.measured.clock;
    Some(Warning {
        message: format!(
            "the clock offset between host and guest moved in {}, first in {} by {} (accuracy ± {}); these have no one-way \
             latencies",
            plural(count, "block"),
            first.name(),
            duration(clock.moved_ns()),
            duration(clock.bound_ns)
        ),
        hint: "run again on an idle machine with pinned threads; round trips are not affected".to_owned(),
    })
}

/// The longest waits are missing, so the results depend on the time limit.
fn unsent(run: &Run) -> Option<Warning> {
    let cut: Vec<RunBlock<'_>> = run.blocks().filter(|block| block.measured.unsent > 0).collect();
    let first = cut.first()?;
    let of = |block: &RunBlock<'_>| block.measured.operations.saturating_add(block.measured.unsent);
    Some(Warning {
        message: format!(
            "{} of {} were not sent before their block's time limit, first in {}: corrected latencies are underestimated",
            thousands(total(cut.iter().map(|block| block.measured.unsent))),
            plural(total(cut.iter().map(of)), "message"),
            first.name(),
        ),
        hint: "offer lower rates: --rate".to_owned(),
    })
}

/// With the run's own busy threads, late doorbells are expected.
fn waits_timed_out(run: &Run) -> Option<Warning> {
    let others = run.blocks().filter(|block| !block.plan().conditions.is_contended());
    let late = total(others.map(|block| block.measured.counters.deadline_wakeups()));
    (late > 0).then(|| Warning {
        message: format!(
            "{} timed out before the doorbell arrived (late doorbell, machine stall)",
            plural(late, "wait")
        ),
        hint: STOP_LOAD.to_owned(),
    })
}

fn instrument_shows(run: &Run) -> Option<Warning> {
    let (empty, median) = share_of_smallest_median(run)?;
    (empty >= median * WARNED_FROM).then(|| Warning {
        message: format!(
            "instrument overhead is {}, {:.0} % of the fastest median ({})",
            duration(empty),
            empty / median * 100.0,
            duration(median),
        ),
        hint: "subtract it before comparing with other tools".to_owned(),
    })
}

/// The guest's memory is much slower than the host's. Under emulation that is expected.
fn unhealthy_guest(run: &Run, environment: &Environment) -> Option<Warning> {
    const HEALTHY: f64 = 1.5;
    let largest = run.measured().ceilings.iter().max_by_key(|ceiling| ceiling.size_bytes)?;
    let ratio = largest.host.heap_to_heap / largest.guest.heap_to_heap;
    (environment.accel == "kvm" && ratio > HEALTHY).then(|| Warning {
        message: format!("the guest copies private memory {ratio:.1} times slower than the host"),
        hint: "give the vCPU a core of its own, and check that the guest's memory is not swapped".to_owned(),
    })
}
