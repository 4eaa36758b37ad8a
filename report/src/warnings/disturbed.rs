//! What others did to the run while it lasted, by what the run itself saw of it.

use crate::environment::Environment;
use crate::plan::{Conditions, Wait, Workload};
use crate::result::Warning;
use crate::run::{Run, RunBlock, total};
use crate::units::{counted, duration};

/// By how much the spin that was measured may exceed what blocking took later on.
const SPIN_FACTOR: f64 = 10.0;

/// Share of operations from which being put off the CPU shows in more than the tail.
const PUT_OFF_FROM: f64 = 0.01;

/// Where one of the threads that take part had to make way for others in the midst of messages. Frames and idling take so
/// long that it says nothing there, and beside busy threads it is the point.
pub(super) fn put_off(run: &Run) -> Option<Warning> {
    let blocks = run.blocks().filter(|block| matches!(block.asked().workload, Workload::Pingpong | Workload::Paced));
    let known: Vec<(u64, u64)> =
        blocks.filter_map(|one| Some((one.measured.cpu.switches.put_off()?, one.measured.operations))).collect();
    let times = total(known.iter().map(|(times, _)| *times));
    let operations = total(known.iter().map(|(_, operations)| *operations));
    (times as f64 > operations as f64 * PUT_OFF_FROM).then(|| Warning {
        message: format!(
            "others put the initiator and the guest's CPUs off their CPUs {} in {} of pingpong and paced",
            counted(times, "time"),
            counted(operations, "operation"),
        ),
        cure: "close what else runs (top shows it), or give the run CPUs of its own".to_owned(),
    })
}

/// A hybrid wait spins for as long as blocking was measured to take when the run began, from few operations. Where the rest
/// of the run says otherwise, all hybrid figures are those of another spin. One that was asked for is meant.
pub(super) fn spin(run: &Run, environment: &Environment, config: &serde_json::Value) -> Option<Warning> {
    let spin_ns = environment.hybrid_spin_ns.filter(|_| config["spin_ns"].is_null())? as f64;
    let median_ns = median_of_blocking(run)? as f64;
    (spin_ns > SPIN_FACTOR * median_ns).then(|| Warning {
        message: format!(
            "hybrid waits spin for {}, as blocking was measured to take when the run began; it took {} at p50 later on: \
             the machine was disturbed",
            duration(spin_ns),
            duration(median_ns)
        ),
        cure: format!("run again, or with --spin {}us", (median_ns / 1e3).ceil()),
    })
}

/// Median round trip of messages back to back for which both sides block.
fn median_of_blocking(run: &Run) -> Option<u64> {
    let blocks = |block: &RunBlock<'_>| {
        let asked = block.asked();
        let is_plain = asked.workload == Workload::Pingpong && asked.conditions == Conditions::default();
        is_plain && asked.host_wait == Wait::Irq && asked.guest_wait == Wait::Irq
    };
    let trips = run.blocks().filter(blocks).flat_map(|block| block.ok_rows().filter_map(|row| row.rtt_ns));
    let mut trips: Vec<u64> = trips.collect();
    trips.sort_unstable();
    trips.get(trips.len() / 2).copied()
}
