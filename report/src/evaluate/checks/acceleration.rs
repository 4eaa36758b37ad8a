//! Checks that the guest ran with the claimed accelerator: results under emulation must not be reported as KVM results.

use super::{Outcome, not_applicable, outcome};
use crate::io::run::{Run, RunBlock};
use crate::result::environment::Environment;
use bench_model::WaitMode;
use bench_model::units::sig3;

/// Minimum number of doorbells: the main loop also wakes for timers.
const MIN_RINGS: f64 = 100.0;

/// With irqfd, KVM delivers doorbells itself: the main loop sleeps through most of them.
const MAX_WITH_IRQFD: f64 = 0.5;

/// Without it, the main loop wakes for each doorbell, except those that arrive while it is awake.
const MIN_WITHOUT_IRQFD: f64 = 0.2;

/// Minimum CPU time per doorbell, in nanoseconds, of a main loop that handles them: it reads an eventfd and raises an
/// interrupt.
const MIN_HANDLING_NS: f64 = 500.0;

/// After the last block, QEMU's monitor reports the claimed accelerator; the main loop woke for doorbells without
/// irqfd and slept through them with it.
pub(super) fn accelerator(run: &Run, environment: &Environment) -> Outcome {
    let claimed = environment.accel.as_str();
    let reported = environment.accel_seen.as_deref().filter(|_| !claimed.is_empty());
    let wakes: Vec<(String, MainLoop)> =
        run.blocks().filter_map(|block| Some((block.name(), per_ring(&block)?))).collect();
    let irqfd = environment.irqfd.filter(|_| !wakes.is_empty());
    if reported.is_none() && irqfd.is_none() {
        return not_applicable("neither QEMU's monitor nor its main loop was observed");
    }
    let mut faults = Vec::new();
    let mut details = Vec::new();
    if let Some(reported) = reported {
        details.push(format!("QEMU's monitor reports {reported}"));
        if reported != claimed {
            faults.push(format!("the run claims {claimed}, but QEMU's monitor reports {reported}"));
        }
    }
    if let Some(irqfd) = irqfd {
        details.push(format!("its main loop woke {} times per doorbell", range(&wakes)));
        faults.extend(wakes.iter().filter_map(|(block, wakes)| contradiction(irqfd, block, wakes)));
    }
    outcome(&faults, details.join("; "))
}

/// Work of the main loop per doorbell of the host.
struct MainLoop {
    wakes: f64,
    /// CPU time; `None`: unknown.
    ns: Option<f64>,
}

fn contradiction(irqfd: bool, block: &str, main_loop: &MainLoop) -> Option<String> {
    let wakeups = sig3(main_loop.wakes);
    // A preempted main loop finds the next doorbell before it sleeps, but uses CPU time all the same.
    let is_idle = main_loop.ns.is_none_or(|ns| ns < MIN_HANDLING_NS);
    match irqfd {
        true if main_loop.wakes > MAX_WITH_IRQFD => {
            Some(format!("{block}: irqfd is claimed, but QEMU's main loop woke {wakeups} times per doorbell"))
        }
        false if main_loop.wakes < MIN_WITHOUT_IRQFD && is_idle => {
            Some(format!("{block}: no irqfd is claimed, but QEMU's main loop woke only {wakeups} times per doorbell"))
        }
        _ => None,
    }
}

/// Voluntary context switches of the main loop per doorbell of the host. `None`: unknown, or too few doorbells.
/// Doorbells cover the whole block, switches the measured operations, so doorbells are scaled. Not for open traffic,
/// where doorbells share a wake-up, not with busy threads, which preempt the main loop, and not for hybrid waits, which
/// ring mostly during warm-up.
fn per_ring(block: &RunBlock<'_>) -> Option<MainLoop> {
    let asked = block.plan();
    if asked.conditions.is_contended() || asked.guest_wait != WaitMode::Irq || !asked.workload.acknowledges_each() {
        return None;
    }
    let sleeps = block.measured.cpu.switches.main_loop?.voluntary;
    let share = block.measured.operations as f64 / block.operations_in_all() as f64;
    let rings = block.measured.counters.rings as f64 * share;
    let ns = block.measured.cpu.main_loop_ns.map(|ns| ns as f64 / rings);
    (rings >= MIN_RINGS).then_some(MainLoop { wakes: sleeps as f64 / rings, ns })
}

/// The range of the wake-ups per doorbell over all blocks.
fn range(blocks: &[(String, MainLoop)]) -> String {
    let each = || blocks.iter().map(|(_, main_loop)| main_loop.wakes);
    let least = sig3(each().fold(f64::INFINITY, f64::min));
    let most = sig3(each().fold(0.0, f64::max));
    if least == most { least } else { format!("{least} to {most}") }
}
