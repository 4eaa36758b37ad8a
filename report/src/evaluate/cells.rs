//! Computes the cells of a run from its blocks. Metrics cover the operations that ended ok.

use std::collections::BTreeMap;

use crate::evaluate::cost;
use crate::evaluate::open_loop;
use crate::io::run::{CellBlocks, Run, RunBlock};
use crate::result::cell::{Cell, CellCounters, LegValue, Legs, PhaseRates};
use crate::result::cell_key::CellKey;
use crate::result::metric::Metric;
use bench_model::Workload;
use bench_model::raw::{Counters, Traffic};
use bench_model::samples::{Row, Status};
use statistics::{LegSummary, Summary, median_interval, noise_floor, sum_known, total};

/// Seed of the bootstrap: the same directory gives the same document.
pub(crate) const SEED: u64 = 1;

/// A cell with the blocks that it was computed from.
#[derive(Debug)]
pub(crate) struct MeasuredCell<'a> {
    pub(crate) cell: Cell,
    pub(crate) blocks: CellBlocks<'a>,
}

/// The cells of a run.
pub(crate) fn cells<'a>(run: &'a Run, driver: Option<&str>) -> Vec<MeasuredCell<'a>> {
    run.cells().into_iter().map(|blocks| MeasuredCell { cell: cell(&blocks, driver), blocks }).collect()
}

fn cell(group: &CellBlocks<'_>, driver: Option<&str>) -> Cell {
    let CellKey { workload, size_bytes, conditions, host_wait, guest_wait } = group.key;
    let blocks = &group.blocks[..];
    let (series, corrected) = (group.series(Metric::Latency), group.series(Metric::CorrectedLatency));
    let latency_ns = Summary::from_samples(series.concat());
    let legs_ns = legs(blocks);
    let is_frame = workload == Workload::Frame;
    let rate = |mean_ns: f64| (mean_ns > 0.0).then(|| size_bytes as f64 * 1e9 / mean_ns);
    let leg_rate = |leg: &Option<LegSummary>| leg.as_ref().and_then(|leg| rate(leg.mean));
    let messages_per_second = messages_per_second(workload, blocks);
    Cell {
        workload,
        mode: group.key.mode(),
        host_wait,
        guest_wait,
        driver: driver.map(str::to_owned),
        size_bytes,
        conditions,
        n: ok_rows(blocks).count() as u64,
        failures: failures(blocks),
        bytes_per_second: match workload {
            Workload::Frame => latency_ns.as_ref().and_then(|latency| rate(latency.mean)),
            Workload::Stream => messages_per_second.map(|messages| messages * size_bytes as f64),
            Workload::Pingpong
            | Workload::Paced
            | Workload::Openloop
            | Workload::Storm
            | Workload::Idle
            | Workload::Contention => None,
        },
        messages_per_second,
        unsent: open_loop::unsent(workload, blocks),
        sent_in_time: open_loop::sent_in_time(workload, blocks),
        traffic: traffic(blocks),
        phase_bytes_per_second: is_frame.then(|| PhaseRates {
            write: leg_rate(&legs_ns.write),
            read: leg_rate(&legs_ns.read),
            verify: leg_rate(&legs_ns.verify),
        }),
        p50_interval_ns: median_interval(&series, SEED),
        noise_floor: noise_floor(&series, SEED),
        latency_ns,
        corrected_p50_interval_ns: median_interval(&corrected, SEED),
        corrected_noise_floor: noise_floor(&corrected, SEED),
        corrected_ns: Summary::from_samples(corrected.concat()),
        legs_ns,
        bytes_verified: total(blocks.iter().map(|block| block.measured.bytes_verified)),
        cpu: cost::cpu(blocks),
        counters: counters(blocks),
    }
}

/// `storm`: doorbells rung; `stream`: messages received; `openloop`: messages acknowledged. `None` for other workloads.
fn messages_per_second(workload: Workload, blocks: &[RunBlock<'_>]) -> Option<f64> {
    let per_second = |count: u64, ns: u64| (ns > 0).then(|| count as f64 * 1e9 / ns as f64);
    match workload {
        Workload::Storm | Workload::Stream => {
            let all = || blocks.iter().filter_map(|block| block.measured.traffic.as_ref());
            all().next()?;
            per_second(
                total(all().map(|traffic| traffic.within_span(workload))),
                total(all().map(|traffic| traffic.span_ns)),
            )
        }
        Workload::Openloop => {
            let measured = || blocks.iter().map(|block| block.measured);
            per_second(total(measured().map(|block| block.operations)), total(measured().map(|block| block.wall_ns)))
        }
        Workload::Pingpong | Workload::Paced | Workload::Frame | Workload::Idle | Workload::Contention => None,
    }
}

fn traffic(blocks: &[RunBlock<'_>]) -> Option<Traffic> {
    let all = || blocks.iter().filter_map(|block| block.measured.traffic.as_ref());
    all().next()?;
    Some(Traffic {
        sent: total(all().map(|traffic| traffic.sent)),
        seen: total(all().map(|traffic| traffic.seen)),
        last_seen: all().all(|traffic| traffic.last_seen),
        span_ns: total(all().map(|traffic| traffic.span_ns)),
        full: total(all().map(|traffic| traffic.full)),
    })
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
    Legs::from_fn(|leg| {
        LegSummary::from_samples(match leg.value {
            LegValue::Local(ns) => ok_rows(blocks).filter_map(ns).filter_map(|ns| i64::try_from(ns).ok()).collect(),
            // Valid only while the clock offset was stable.
            LegValue::OneWay(ns) => {
                let stable = blocks.iter().filter(|block| block.measured.clock.is_stable());
                stable.flat_map(RunBlock::ok_rows).filter_map(ns).collect()
            }
        })
    })
}

fn counters(blocks: &[RunBlock<'_>]) -> CellCounters {
    let sum = |count: fn(&Counters) -> u64| total(blocks.iter().map(|block| count(&block.measured.counters)));
    let sum_if_all =
        |count: fn(&Counters) -> Option<u64>| sum_known(blocks.iter().map(|block| count(&block.measured.counters)));
    let rings = sum(|counters| counters.rings);
    let interrupts = sum_if_all(|counters| counters.interrupts);
    let guest_waits = sum(|counters| counters.guest_waits);
    let host_waits = sum(|counters| counters.host_waits);
    CellCounters {
        rings,
        interrupts,
        uio_events: sum_if_all(|counters| counters.uio_events),
        wakeups: sum(Counters::waits),
        coalesced: interrupts.map(|interrupts| rings.saturating_sub(interrupts)),
        deadline_wakeups: sum(Counters::deadline_wakeups),
        guest_rings: sum(|counters| counters.guest_rings),
        host_events: sum(|counters| counters.host_events),
        guest_waits,
        host_waits,
        guest_found_armed: sum(|counters| counters.guest_found_armed),
        host_found_armed: sum(|counters| counters.host_found_armed),
        stale_acks: sum(|counters| counters.stale_acks),
        lost_wakeups: sum(Counters::lost_wakeups),
    }
}
