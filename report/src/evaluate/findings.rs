//! Derives findings from several cells: break-even rate of polling, latency with busy threads, throughput of each mode.

use std::collections::BTreeMap;

use bench_model::raw::PeakBandwidths;
use bench_model::{Arrivals, WaitMode, Workload};

use crate::result::cell::Cell;
use crate::result::comparison::Comparison;
use crate::result::findings::{BreakEven, Capacity, ContentionResult, Findings};
use statistics::Change;

/// Default limit of an open loop's p99: 1 ms.
const P99_LIMIT_NS: u64 = 1_000_000;
/// A rate is sustained if at least this share of messages is sent by the scheduled time of the last one.
const MIN_SENT_IN_TIME: f64 = 0.95;

/// Derives findings. `config` may hold the limit of the open loop (`p99_limit_ns`).
#[must_use]
pub(crate) fn findings(
    cells: &[Cell],
    comparisons: &[Comparison],
    ceilings: &[PeakBandwidths],
    config: &serde_json::Value,
) -> Findings {
    let limit = config["p99_limit_ns"].as_u64().unwrap_or(P99_LIMIT_NS);
    let largest = ceilings.iter().max_by_key(|ceiling| ceiling.size_bytes);
    let copy = largest.map(|both| both.host.heap_to_heap / both.guest.heap_to_heap).filter(|ratio| ratio.is_finite());
    Findings {
        break_even: break_even(cells),
        contention: contention(cells, comparisons),
        capacity: capacity(cells, limit),
        copy_host_over_guest: copy,
    }
}

/// Cells with the same wait mode on both sides.
fn diagonal(cells: &[Cell], workload: Workload, wait: WaitMode) -> impl Iterator<Item = &Cell> {
    let is_it = move |cell: &&Cell| cell.workload == workload && cell.host_wait == wait && cell.guest_wait == wait;
    cells.iter().filter(is_it).filter(|cell| !cell.conditions.aa_repeat && !cell.conditions.full_stamps)
}

fn break_even(cells: &[Cell]) -> Vec<BreakEven> {
    let of_mode = |wait: WaitMode| {
        let mut idle_or_busy =
            diagonal(cells, Workload::Idle, WaitMode::Poll).chain(diagonal(cells, Workload::Pingpong, WaitMode::Poll));
        let polling_cores = idle_or_busy.find_map(|cell| cell.cpu.cores)?;
        let idle_cores = diagonal(cells, Workload::Idle, wait).find_map(|cell| cell.cpu.cores)?;
        let busy = diagonal(cells, Workload::Pingpong, wait).next()?;
        let us_per_op = busy.cpu.total_us_per_op()?;
        // The CPU time per operation is lower back to back than with a wake-up for each operation.
        let paced = diagonal(cells, Workload::Paced, wait).next().and_then(at_its_rate);
        let measured = [Some((0.0, idle_cores)), paced, at_its_rate(busy)];
        let (fastest_per_s, _) = at_its_rate(busy)?;
        let rate_per_s = first_crossing(measured.into_iter().flatten(), polling_cores)
            .unwrap_or_else(|| ((polling_cores - idle_cores) * 1e6 / us_per_op).max(fastest_per_s));
        let break_even =
            BreakEven { mode: wait.to_string(), polling_cores, idle_cores, us_per_op, rate_per_s, fastest_per_s };
        (rate_per_s.is_finite() && fastest_per_s.is_finite()).then_some(break_even)
    };
    of_mode(WaitMode::Irq).into_iter().collect()
}

/// Operations per second and cores in use at that rate.
fn at_its_rate(cell: &Cell) -> Option<(f64, f64)> {
    let (cores, us_per_op) = (cell.cpu.cores?, cell.cpu.total_us_per_op()?);
    Some((cores * 1e6 / us_per_op, cores)).filter(|(rate, _)| rate.is_finite())
}

/// Where straight lines between points, ascending in x, first reach `y` from below.
fn first_crossing(points: impl Iterator<Item = (f64, f64)>, y: f64) -> Option<f64> {
    let points: Vec<(f64, f64)> = points.collect();
    points.windows(2).find_map(|pair| match *pair {
        [(x0, y0), (x1, y1)] if y0 < y && y1 >= y && x1 > x0 => Some(x0 + (y - y0) / (y1 - y0) * (x1 - x0)),
        _ => None,
    })
}

fn contention(cells: &[Cell], comparisons: &[Comparison]) -> Vec<ContentionResult> {
    let median = |cell: &Cell| cell.latencies()?.ns.p50;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a mean of nanoseconds")]
    let mean = |cell: &Cell| Some(cell.latencies()?.ns.mean.round() as u64);
    let with_busy_threads = |poll: &Cell| {
        let mut others = diagonal(cells, Workload::Contention, WaitMode::Irq);
        let irq = others.find(|irq| irq.conditions == poll.conditions)?;
        let compares_both = |comparison: &&Comparison| {
            comparison.cells(cells).is_some_and(|(this, base)| std::ptr::eq(this, irq) && std::ptr::eq(base, poll))
        };
        let compared = comparisons.iter().find(compares_both);
        Some(ContentionResult {
            busy_threads: poll.conditions.busy_threads.unwrap_or(0),
            shared_core: poll.conditions.shared_core,
            gap_ns: poll.conditions.gap_ns,
            poll_p50_ns: median(poll)?,
            irq_p50_ns: median(irq)?,
            word: compared.map_or(Change::Inconclusive, |comparison| comparison.word),
            poll_mean_ns: mean(poll),
            irq_mean_ns: mean(irq),
            mean_word: compared
                .and_then(|comparison| comparison.mean.as_ref())
                .map_or(Change::Inconclusive, |mean| mean.word),
        })
    };
    diagonal(cells, Workload::Contention, WaitMode::Poll).filter_map(with_busy_threads).collect()
}

/// Whether messages were sent on schedule.
pub(crate) fn is_sustained(cell: &Cell) -> bool {
    cell.unsent.unwrap_or(0) == 0 && cell.sent_in_time.is_some_and(|share| share >= MIN_SENT_IN_TIME)
}

/// Whether messages at this rate were sent on schedule with a p99 below the limit. `None`: too few messages.
fn meets_limit(cell: &Cell, p99_limit_ns: u64) -> Option<bool> {
    let p99 = cell.corrected_ns.as_ref().and_then(|corrected| corrected.p99);
    if is_sustained(cell) { p99.map(|p99| p99 < p99_limit_ns) } else { Some(false) }
}

fn capacity(cells: &[Cell], p99_limit_ns: u64) -> Vec<Capacity> {
    let of_mode = |wait: WaitMode, arrivals: Arrivals| {
        let open =
            || diagonal(cells, Workload::Openloop, wait).filter(move |cell| cell.conditions.arrivals == Some(arrivals));
        let rate = |cell: &Cell| cell.conditions.rate_per_s;
        let rates = |verdict| open().filter(move |cell| meets_limit(cell, p99_limit_ns) == verdict).filter_map(rate);
        let lowest_failed = rates(Some(false)).min();
        let is_below = |rate: &u64| lowest_failed.is_none_or(|failed| *rate < failed);
        let mut not_judged: Vec<u64> = rates(None).filter(is_below).collect();
        not_judged.sort_unstable();
        Some(Capacity {
            mode: wait.to_string(),
            arrivals,
            p99_limit_ns,
            rate_per_s: rates(Some(true)).filter(is_below).max(),
            offered_per_s: open().filter_map(rate).max()?,
            not_judged_per_s: not_judged,
        })
    };
    let waits = [WaitMode::Poll, WaitMode::Irq, WaitMode::Hybrid];
    waits
        .into_iter()
        .flat_map(|wait| [Arrivals::Fixed, Arrivals::Poisson].map(|a| of_mode(wait, a)))
        .flatten()
        .collect()
}

/// The cell with the highest throughput per wait mode, with that throughput. Cells without a rate are ignored.
pub(crate) fn fastest_per_mode<'a>(cells: impl IntoIterator<Item = &'a Cell>) -> Vec<(&'a Cell, f64)> {
    let mut fastest: BTreeMap<(WaitMode, WaitMode), (&Cell, f64)> = BTreeMap::new();
    for cell in cells {
        let Some(rate) = cell.bytes_per_second else { continue };
        let best = fastest.entry((cell.host_wait, cell.guest_wait)).or_insert((cell, rate));
        if rate > best.1 {
            *best = (cell, rate);
        }
    }
    fastest.into_values().collect()
}
