//! From blocks to cells: equal blocks are taken together, and figures are made of the operations that ended ok.

use std::collections::BTreeMap;

use crate::measured::{Counters, CpuTime};
use crate::plan::{Wait, Workload};
use crate::result::{Cell, CellCounters, Cpu, Legs, PhaseRates};
use crate::run::{Run, RunBlock, total};
use crate::samples::{Row, Status, mode_name};
use crate::stats::{LegSummary, Summary};

/// What makes two blocks equal. Cells come in this order.
type Key = (Workload, u64, Wait, Wait);

/// Groups a run's finished blocks.
#[must_use]
pub fn cells(run: &Run, driver: Option<&str>) -> Vec<Cell> {
    let mut groups: BTreeMap<Key, Vec<RunBlock<'_>>> = BTreeMap::new();
    for block in run.blocks() {
        let asked = block.asked();
        let key = (asked.workload, asked.size_bytes, asked.host_wait, asked.guest_wait);
        groups.entry(key).or_default().push(block);
    }
    groups.into_iter().map(|(key, blocks)| cell(key, &blocks, driver)).collect()
}

fn cell((workload, size_bytes, host_wait, guest_wait): Key, blocks: &[RunBlock<'_>], driver: Option<&str>) -> Cell {
    let latency_ns = Summary::of(ok_rows(blocks).filter_map(|row| latency(workload, row)).collect());
    let legs_ns = legs(blocks);
    let is_frame = workload == Workload::Frame;
    let rate = |mean_ns: f64| (mean_ns > 0.0).then(|| size_bytes as f64 * 1e9 / mean_ns);
    let leg_rate = |leg: &Option<LegSummary>| leg.as_ref().and_then(|leg| rate(leg.mean));
    Cell {
        workload,
        mode: mode_name(host_wait, guest_wait),
        host_wait,
        guest_wait,
        driver: driver.map(str::to_owned),
        size_bytes,
        n: ok_rows(blocks).count() as u64,
        failures: failures(blocks),
        bytes_per_second: latency_ns.as_ref().filter(|_| is_frame).and_then(|latency| rate(latency.mean)),
        phase_bytes_per_second: is_frame.then(|| PhaseRates {
            write: leg_rate(&legs_ns.write),
            read: leg_rate(&legs_ns.read),
            verify: leg_rate(&legs_ns.verify),
        }),
        latency_ns,
        legs_ns,
        bytes_verified: total(blocks.iter().map(|block| block.measured.bytes_verified)),
        cpu: cpu(blocks),
        counters: counters(blocks),
    }
}

/// The figure that a workload is about.
fn latency(workload: Workload, row: &Row) -> Option<u64> {
    match workload {
        Workload::Pingpong => row.rtt_ns,
        Workload::Frame => row.end_to_end_ns,
    }
}

fn ok_rows<'a>(blocks: &[RunBlock<'a>]) -> impl Iterator<Item = &'a Row> {
    blocks.iter().flat_map(RunBlock::ok_rows)
}

fn failures(blocks: &[RunBlock<'_>]) -> BTreeMap<Status, u64> {
    let mut failures = BTreeMap::new();
    for row in blocks.iter().flat_map(|block| block.rows).filter(|row| row.status != Status::Ok) {
        *failures.entry(row.status).or_default() += 1;
    }
    failures
}

fn legs(blocks: &[RunBlock<'_>]) -> Legs {
    // A leg on one side's clock alone.
    let local = |leg: fn(&Row) -> Option<u64>| {
        let samples = ok_rows(blocks).filter_map(leg).filter_map(|ns| i64::try_from(ns).ok());
        LegSummary::of(samples.collect())
    };
    // A leg from one clock to the other means something only while the offset between them held.
    let one_way = |leg: fn(&Row) -> Option<i64>| {
        let stable = blocks.iter().filter(|block| block.measured.clock.is_stable());
        LegSummary::of(stable.flat_map(RunBlock::ok_rows).filter_map(leg).collect())
    };
    Legs {
        write: local(|row| row.write_ns),
        ring: local(|row| row.ring_ns),
        inject: one_way(|row| row.inject_ns),
        wake: local(|row| row.wake_ns),
        notify: one_way(|row| row.notify_ns),
        ack: one_way(|row| row.ack_ns),
        read: local(|row| row.read_ns),
        verify: local(|row| row.verify_ns),
        answer: one_way(|row| row.answer_ns),
    }
}

fn cpu(blocks: &[RunBlock<'_>]) -> Cpu {
    let measured = || blocks.iter().map(|block| block.measured);
    let operations = total(measured().map(|block| block.operations));
    let wall_ns = total(measured().map(|block| block.wall_ns));
    let spent = |time: fn(&CpuTime) -> Option<u64>| total_if_all(measured().map(|block| time(&block.cpu)));
    let host = spent(|cpu| Some(cpu.host_ns));
    let vcpu = spent(|cpu| cpu.vcpu_ns);
    let main_loop = spent(|cpu| cpu.main_loop_ns);
    let per_op = |ns: Option<u64>| Some(ns? as f64 / 1e3 / operations as f64).filter(|us| us.is_finite());
    let all = || Some(host? as f64 + vcpu? as f64 + main_loop? as f64);
    Cpu {
        host_us_per_op: per_op(host),
        vcpu_us_per_op: per_op(vcpu),
        main_loop_us_per_op: per_op(main_loop),
        cores: all().map(|ns| ns / wall_ns as f64).filter(|cores| cores.is_finite()),
    }
}

fn counters(blocks: &[RunBlock<'_>]) -> CellCounters {
    let sum = |count: fn(&Counters) -> u64| total(blocks.iter().map(|block| count(&block.measured.counters)));
    let sum_if_all =
        |count: fn(&Counters) -> Option<u64>| total_if_all(blocks.iter().map(|block| count(&block.measured.counters)));
    let rings = sum(|seen| seen.rings);
    let interrupts = sum_if_all(|seen| seen.interrupts);
    let guest_waits = sum(|seen| seen.guest_waits);
    let host_waits = sum(|seen| seen.host_waits);
    CellCounters {
        rings,
        interrupts,
        uio_events: sum_if_all(|seen| seen.uio_events),
        wakeups: guest_waits.saturating_add(host_waits),
        coalesced: interrupts.map(|interrupts| rings.saturating_sub(interrupts)),
        deadline_wakeups: sum(|seen| seen.guest_deadline_wakeups.saturating_add(seen.host_deadline_wakeups)),
        guest_rings: sum(|seen| seen.guest_rings),
        host_events: sum(|seen| seen.host_events),
        guest_waits,
        host_waits,
        guest_found_armed: sum(|seen| seen.guest_found_armed),
        host_found_armed: sum(|seen| seen.host_found_armed),
        stale_acks: sum(|seen| seen.stale_acks),
        lost_wakeups: sum(|seen| seen.lost_wakeups),
    }
}

/// A sum with one unknown part is unknown.
fn total_if_all(counts: impl Iterator<Item = Option<u64>>) -> Option<u64> {
    counts.collect::<Option<Vec<u64>>>().map(|counts| total(counts.into_iter()))
}
