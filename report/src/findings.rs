//! What follows from several cells together: from which rate on spinning is the cheaper way, where blocking is proved to be
//! the faster one, and how many messages each way carries.

use serde::{Deserialize, Serialize};

use crate::compare::Comparison;
use crate::result::Cell;
use crate::stats::Word;
use bench_model::raw::Ceilings;
use bench_model::{Arrivals, WaitMode, Workload};

/// Latency that an open loop's p99 must stay below, where nothing else was asked for: 1 ms.
const P99_LIMIT_NS: u64 = 1_000_000;
/// An offered rate counts as carried if this share of its messages was sent before the last one was due.
const CARRIED: f64 = 0.95;

/// See the module. A list is empty where its cells were not measured.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Findings {
    /// Of blocking. Hybrid waiting has none: it costs as much as polling while messages come fast, and like blocking while
    /// they come slowly.
    pub break_even: Vec<BreakEven>,
    /// Polling and blocking beside other threads.
    pub contention: Vec<Contended>,
    /// Per way to wait and kind of arrivals.
    pub capacity: Vec<Capacity>,
    /// The host's copy speed over the guest's, private memory, largest size: near 1 under healthy KVM, far above under
    /// emulation.
    pub copy_host_over_guest: Option<f64>,
}

/// The rate below which blocking takes less CPU time than spinning.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct BreakEven {
    /// The way to wait.
    pub mode: String,
    /// Cores that polling keeps busy while nothing comes.
    pub polling_cores: f64,
    /// Cores that this way keeps busy while nothing comes.
    pub idle_cores: f64,
    /// CPU time per operation, all threads, back to back.
    pub us_per_op: f64,
    /// Operations per second at which both cost the same: where the cores that this way keeps busy, idle, paced and back to
    /// back, reach those of polling, on straight lines between these. Beyond them, by the cost back to back.
    pub rate_per_s: f64,
    /// Operations per second that this way carries back to back. A break-even rate above it: it is always the cheaper one.
    pub fastest_per_s: f64,
}

impl BreakEven {
    /// Whether it takes less CPU time at every rate that it carries.
    #[must_use]
    pub fn is_always_cheaper(&self) -> bool {
        self.rate_per_s >= self.fastest_per_s
    }
}

/// Medians and means beside other threads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Contended {
    /// Threads that only burn time.
    pub busy_threads: u32,
    /// Whether both sides shared one core.
    #[serde(rename = "one_core")]
    pub shared_core: bool,
    /// The gap between messages; `None`: back to back.
    pub gap_ns: Option<u64>,
    /// Polling's median; where messages are paced, from when they were due.
    pub poll_p50_ns: u64,
    /// Blocking's median, likewise.
    pub irq_p50_ns: u64,
    /// What may be said of blocking. Medians that lie far apart may still be such that noise explains them.
    #[serde(default)]
    pub word: Word,
    /// Polling's mean, likewise: a poller answers at once or after others had its core, and the mean weighs both.
    #[serde(default)]
    pub poll_mean_ns: Option<u64>,
    /// Blocking's mean, likewise.
    #[serde(default)]
    pub irq_mean_ns: Option<u64>,
    /// What may be said of blocking by the means.
    #[serde(default)]
    pub mean_word: Word,
}

impl Contended {
    /// The way that is proved to take less time on average; `None`: neither is.
    #[must_use]
    pub fn waits_less(&self) -> Option<WaitMode> {
        proved(self.mean_word)
    }

    /// The way that is proved to be the faster one; `None`: neither is.
    #[must_use]
    pub fn faster(&self) -> Option<WaitMode> {
        proved(self.word)
    }
}

/// What is said of blocking, as the way that it speaks for.
fn proved(of_irq: Word) -> Option<WaitMode> {
    match of_irq {
        Word::Faster => Some(WaitMode::Irq),
        Word::Slower => Some(WaitMode::Poll),
        Word::NoDifferenceSeen | Word::Unknown => None,
    }
}

/// The highest offered rate up to which every rate that can be judged was carried and kept below the limit. One that did by
/// chance above one that did not is none that can be relied on. A rate with too few messages for a p99 did neither.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Capacity {
    /// The way to wait.
    pub mode: String,
    /// When messages were due.
    pub arrivals: Arrivals,
    /// What p99, from when a message was due, had to stay below.
    pub p99_limit_ns: u64,
    /// Messages per second; `None`: of the rates that can be judged, the lowest did not keep below it, or there are none.
    pub rate_per_s: Option<u64>,
    /// The highest rate that was offered.
    pub offered_per_s: u64,
    /// Rates that had too few messages for a p99 (1,000), below the lowest one that did not keep the limit.
    #[serde(default)]
    pub not_judged_per_s: Vec<u64>,
}

/// Draws the conclusions. `config` may hold the limit of the open loop (`p99_limit_ns`).
#[must_use]
pub fn findings(
    cells: &[Cell],
    comparisons: &[Comparison],
    ceilings: &[Ceilings],
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

/// Cells with one way to wait on both sides.
fn diagonal(cells: &[Cell], workload: Workload, wait: WaitMode) -> impl Iterator<Item = &Cell> {
    let is_it = move |cell: &&Cell| cell.workload == workload && cell.host_wait == wait && cell.guest_wait == wait;
    cells.iter().filter(is_it).filter(|cell| !cell.conditions.aa_repeat && !cell.conditions.full_stamps)
}

fn break_even(cells: &[Cell]) -> Vec<BreakEven> {
    let one = |wait: WaitMode| {
        let mut idle_or_busy =
            diagonal(cells, Workload::Idle, WaitMode::Poll).chain(diagonal(cells, Workload::Pingpong, WaitMode::Poll));
        let polling_cores = idle_or_busy.find_map(|cell| cell.cpu.cores)?;
        let idle_cores = diagonal(cells, Workload::Idle, wait).find_map(|cell| cell.cpu.cores)?;
        let busy = diagonal(cells, Workload::Pingpong, wait).next()?;
        let us_per_op = busy.cpu.total_us_per_op()?;
        // An operation takes less CPU time when they follow each other at once than when each has to wake everybody up.
        let paced = diagonal(cells, Workload::Paced, wait).next().and_then(at_its_rate);
        let measured = [Some((0.0, idle_cores)), paced, at_its_rate(busy)];
        let (fastest_per_s, _) = at_its_rate(busy)?;
        let rate_per_s = reaches(measured.into_iter().flatten(), polling_cores)
            .unwrap_or_else(|| ((polling_cores - idle_cores) * 1e6 / us_per_op).max(fastest_per_s));
        let known =
            BreakEven { mode: wait.to_string(), polling_cores, idle_cores, us_per_op, rate_per_s, fastest_per_s };
        (rate_per_s.is_finite() && fastest_per_s.is_finite()).then_some(known)
    };
    one(WaitMode::Irq).into_iter().collect()
}

/// Operations per second and cores kept busy by them. Both figures of CPU time are of the same stretch.
fn at_its_rate(cell: &Cell) -> Option<(f64, f64)> {
    let (cores, us_per_op) = (cell.cpu.cores?, cell.cpu.total_us_per_op()?);
    Some((cores * 1e6 / us_per_op, cores)).filter(|(rate, _)| rate.is_finite())
}

/// Where straight lines between points, ascending in x, first reach `y` from below.
fn reaches(points: impl Iterator<Item = (f64, f64)>, y: f64) -> Option<f64> {
    let points: Vec<(f64, f64)> = points.collect();
    points.windows(2).find_map(|pair| match *pair {
        [(x0, y0), (x1, y1)] if y0 < y && y1 >= y && x1 > x0 => Some(x0 + (y - y0) / (y1 - y0) * (x1 - x0)),
        _ => None,
    })
}

fn contention(cells: &[Cell], comparisons: &[Comparison]) -> Vec<Contended> {
    let median = |cell: &Cell| cell.latencies()?.ns.p50;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a mean of nanoseconds")]
    let mean = |cell: &Cell| Some(cell.latencies()?.ns.mean.round() as u64);
    let beside = |poll: &Cell| {
        let mut others = diagonal(cells, Workload::Contention, WaitMode::Irq);
        let irq = others.find(|irq| irq.conditions == poll.conditions)?;
        let is_theirs = |one: &&Comparison| {
            one.cells(cells).is_some_and(|(this, base)| std::ptr::eq(this, irq) && std::ptr::eq(base, poll))
        };
        let compared = comparisons.iter().find(is_theirs);
        Some(Contended {
            busy_threads: poll.conditions.busy_threads.unwrap_or(0),
            shared_core: poll.conditions.shared_core,
            gap_ns: poll.conditions.gap_ns,
            poll_p50_ns: median(poll)?,
            irq_p50_ns: median(irq)?,
            word: compared.map_or(Word::Unknown, |one| one.word),
            poll_mean_ns: mean(poll),
            irq_mean_ns: mean(irq),
            mean_word: compared.and_then(|one| one.mean.as_ref()).map_or(Word::Unknown, |mean| mean.word),
        })
    };
    diagonal(cells, Workload::Contention, WaitMode::Poll).filter_map(beside).collect()
}

/// Whether messages were sent as they came due.
pub(crate) fn carries(cell: &Cell) -> bool {
    cell.unsent.unwrap_or(0) == 0 && cell.sent_in_time.is_some_and(|share| share >= CARRIED)
}

/// Whether a rate was carried with a p99 below the limit; `None`: it had too few messages to tell.
fn keeps(cell: &Cell, p99_limit_ns: u64) -> Option<bool> {
    let p99 = cell.corrected_ns.as_ref().and_then(|corrected| corrected.p99);
    if carries(cell) { p99.map(|p99| p99 < p99_limit_ns) } else { Some(false) }
}

fn capacity(cells: &[Cell], p99_limit_ns: u64) -> Vec<Capacity> {
    let one = |wait: WaitMode, arrivals: Arrivals| {
        let open =
            || diagonal(cells, Workload::Openloop, wait).filter(move |cell| cell.conditions.arrivals == Some(arrivals));
        let rate = |cell: &Cell| cell.conditions.rate_per_s;
        let that = |verdict| open().filter(move |cell| keeps(cell, p99_limit_ns) == verdict).filter_map(rate);
        let broken = that(Some(false)).min();
        let is_below = |rate: &u64| broken.is_none_or(|broken| *rate < broken);
        let mut not_judged: Vec<u64> = that(None).filter(is_below).collect();
        not_judged.sort_unstable();
        Some(Capacity {
            mode: wait.to_string(),
            arrivals,
            p99_limit_ns,
            rate_per_s: that(Some(true)).filter(is_below).max(),
            offered_per_s: open().filter_map(rate).max()?,
            not_judged_per_s: not_judged,
        })
    };
    let waits = [WaitMode::Poll, WaitMode::Irq, WaitMode::Hybrid];
    waits.into_iter().flat_map(|wait| [Arrivals::Fixed, Arrivals::Poisson].map(|a| one(wait, a))).flatten().collect()
}
