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
pub fn all(run: &Run, environment: &Environment, config: &serde_json::Value) -> Vec<Warning> {
    let placement = run.blocks().find_map(|block| block.measured.placement.as_ref());
    let pinning = placement.map(|placement| placement.wanted.clone()).unwrap_or_default();
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
    stall::warnings(run)
        .into_iter()
        .chain(of_run.into_iter().flatten())
        .chain(environment::warnings(environment, &pinning, handshakes))
        .collect()
}

fn unfinished_block(run: &Run) -> Option<Warning> {
    let rows = run.unfinished_rows().count() as u64;
    let message = format!("the results exclude {} of an unfinished block", plural(rows, "row"));
    (rows > 0).then(|| Warning::new(message, "see self-check 15 for why the run ended early, and run it again"))
}

fn no_interrupts(run: &Run) -> Option<Warning> {
    let guest = &run.measured().guest;
    let wanted = run.blocks().any(|block| block.plan().guest_wait.blocks());
    let hint = match guest.interrupts_missing.as_str() {
        "" => "use a driver with MSI-X interrupts, such as uio_pci_msix",
        missing => missing,
    };
    (wanted && !guest.interrupts).then(|| Warning::new("doorbells do not reach the guest's user space", hint))
}

/// Emulation ignores memory types. Earlier guest programs recorded one; such a value has no meaning.
fn uncached_memory(run: &Run, environment: &Environment) -> Option<Warning> {
    let guest = &run.measured().guest;
    let is_uncached = environment.accel != "tcg" && guest.bar2_cached == Some(false);
    let (load, map) = (guest.bar2_ns_per_load.filter(|_| is_uncached)?, &guest.bar2_map);
    Some(Warning::new(
        format!("the guest maps the shared memory uncached ({map}): {load:.0} ns per load limit the bandwidth"),
        "--driver uio_pci_msix --bar2-map wb maps BAR2 write-back",
    ))
}

fn clocks_moved(run: &Run) -> Option<Warning> {
    let moved: Vec<RunBlock<'_>> = run.blocks().filter(|block| !block.measured.clock.is_stable()).collect();
    let first = moved.first()?;
    let (blocks, name) = (plural(moved.len() as u64, "block"), first.name());
    let [by, bound] = [first.measured.clock.moved_ns(), first.measured.clock.bound_ns].map(duration);
    Some(Warning::new(
        format!(
            "the clock offset between host and guest moved in {blocks}, first in {name} by {by} (accuracy ± {bound}); \
             these have no one-way latencies"
        ),
        "run again on an idle machine with pinned threads; round trips are not affected",
    ))
}

/// The longest waits are missing, so the results depend on the time limit.
fn unsent(run: &Run) -> Option<Warning> {
    let cut: Vec<RunBlock<'_>> = run.blocks().filter(|block| block.measured.unsent > 0).collect();
    let first = cut.first()?.name();
    let unsent = thousands(total(cut.iter().map(|block| block.measured.unsent)));
    let all = cut.iter().map(|block| block.measured.operations.saturating_add(block.measured.unsent));
    let all = plural(total(all), "message");
    Some(Warning::new(
        format!(
            "{unsent} of {all} were not sent before their block's time limit, first in {first}: corrected latencies are \
             underestimated"
        ),
        "offer lower rates: --rate",
    ))
}

/// With the run's own busy threads, late doorbells are expected.
fn waits_timed_out(run: &Run) -> Option<Warning> {
    let others = run.blocks().filter(|block| !block.plan().conditions.is_contended());
    let late = total(others.map(|block| block.measured.counters.deadline_wakeups()));
    let waits = plural(late, "wait");
    let message =
        format!("{waits} timed out before the doorbell arrived, and found the message (late doorbell, machine stall)");
    (late > 0).then(|| Warning::new(message, STOP_LOAD))
}

fn instrument_shows(run: &Run) -> Option<Warning> {
    let (empty, median) = share_of_smallest_median(run)?;
    let percent = empty / median * 100.0;
    let [overhead, fastest] = [empty, median].map(duration);
    let message =
        format!("instrument overhead is {overhead}, {percent:.0} % of the p50 of the fastest block ({fastest})");
    (empty >= median * WARNED_FROM).then(|| Warning::new(message, "subtract it before comparing with other tools"))
}

/// The guest's memory is much slower than the host's. Under emulation that is expected.
fn unhealthy_guest(run: &Run, environment: &Environment) -> Option<Warning> {
    const HEALTHY: f64 = 1.5;
    let largest = run.measured().ceilings.iter().max_by_key(|ceiling| ceiling.size_bytes)?;
    let ratio = largest.host.heap_to_heap / largest.guest.heap_to_heap;
    let hint = "give the vCPU a core of its own, and check that the guest's memory is not swapped";
    (environment.accel == "kvm" && ratio > HEALTHY)
        .then(|| Warning::new(format!("the guest copies private memory {ratio:.1} times slower than the host"), hint))
}
