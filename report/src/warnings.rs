//! What makes a run no failure but that its reader should know, each with what to do about it.

use crate::result::Warning;
use crate::run::{Run, RunBlock, total};
use crate::units::{counted, duration};

/// Everything that the data of a run calls for.
#[must_use]
pub fn of(run: &Run) -> Vec<Warning> {
    [unfinished_block(run), no_interrupts(run), uncached_memory(run), clocks_moved(run), guard_woke(run)]
        .into_iter()
        .flatten()
        .collect()
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
            "the clocks' offset moved in {}, which give no one-way figures; first {}, by {} where it is known to ± {}",
            counted(count, "block"),
            first.name(),
            duration((clock.after_ns - clock.before_ns).abs()),
            duration(clock.bound_ns)
        ),
        cure: "run again on a machine at rest and with pinned threads; round trips are not affected".to_owned(),
    })
}

fn guard_woke(run: &Run) -> Option<Warning> {
    let late = total(run.blocks().map(|block| {
        let counters = &block.measured.counters;
        counters.guest_deadline_wakeups.saturating_add(counters.host_deadline_wakeups)
    }));
    (late > 0).then(|| Warning {
        message: format!("{} ended by the guard because the doorbell came late", counted(late, "wait")),
        cure: "the machine stalled: close what else runs on it, or give the run CPUs of its own".to_owned(),
    })
}
