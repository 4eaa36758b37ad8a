//! One cell of a run against the same cell of the baseline.

use serde::Serialize;

use crate::cell_name::CellName;
use crate::cells::{Group, SEED};
use crate::figure::Figure;
use crate::plan::Workload;
use crate::result::Cell;
use crate::run::RunBlock;
use crate::stats::{Interval, NoiseFloor, Ratio, Word, ratio_of_means, ratio_of_medians, why_unknown};

use super::tail;

/// A figure as each run has it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Figures {
    /// Operations that ended ok.
    pub n: u64,
    /// What the [`Figure`] names: nanoseconds, or cores.
    pub value: Option<f64>,
    /// The 99th percentile of the same.
    pub p99_ns: Option<u64>,
}

/// The 99th percentiles against each other.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct TailAcross {
    /// This run's over the baseline's.
    pub ratio: f64,
    /// What both percentiles' 95 % intervals from order statistics allow.
    pub interval: Interval<f64>,
    /// The larger of both runs' factors between halves of their blocks.
    pub noise_floor: Option<f64>,
    /// What may be said of this run.
    pub word: Word,
}

/// A cell that both runs have. Ratios are this run's figure over the baseline's.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CellAcross {
    /// Which cell.
    #[serde(flatten)]
    pub name: CellName,
    /// What is compared.
    pub figure: Figure,
    /// As the baseline has it.
    pub baseline: Figures,
    /// As this run has it.
    pub this: Figures,
    /// Whether both have the very same samples and costs.
    pub identical: bool,
    /// The ratio of the figures.
    pub ratio: Option<f64>,
    /// Its 95 % interval by a block bootstrap of the raw samples.
    pub interval: Option<Interval<f64>>,
    /// The larger of both runs' noise floors: what equal things differ by.
    pub noise_floor: Option<f64>,
    /// What interval and noise allow to say of this run.
    pub word: Word,
    /// Why there is no word.
    pub unknown_because: Option<&'static str>,
    /// Where both have enough samples.
    pub p99: Option<TailAcross>,
    /// Ratio of the CPU time per operation, all threads.
    pub cpu_per_op_ratio: Option<f64>,
    /// Its 95 % interval, drawn from the blocks.
    pub cpu_per_op_interval: Option<Interval<f64>>,
    /// Ratio of the cores kept busy.
    pub cores_ratio: Option<f64>,
    /// Ratio of bytes per second, of frames and streams. Above 1 is better.
    pub bandwidth_ratio: Option<f64>,
}

/// A cell with the blocks that it was made of.
pub(super) struct Made<'a> {
    pub(super) name: CellName,
    cell: Cell,
    group: &'a Group<'a>,
}

impl<'a> Made<'a> {
    pub(super) fn of(group: &'a Group<'a>) -> Self {
        Self { name: group.name(), cell: group.cell(None), group }
    }
}

/// Compares the cell of a run with that of the baseline.
pub(super) fn across(this: &Made<'_>, base: &Made<'_>) -> CellAcross {
    let name = this.name.clone();
    let (this_group, base_group) = (this.group, base.group);
    let (this, base) = (&this.cell, &base.cell);
    let figure = Figure::between(this, base);
    let (this_series, base_series) = (this_group.series_of(figure), base_group.series_of(figure));
    let identical = is_identical(this, base) && this_series == base_series;
    let (drawn, noise_floor) = match figure {
        Figure::Latency | Figure::FromDue => (
            ratio_of_medians(&this_series, &base_series, SEED),
            // With one run of unknown noise, that of the other is the best guess there is.
            [this, base].into_iter().filter_map(|cell| cell.latencies_by(figure)?.noise_floor).reduce(f64::max),
        ),
        Figure::TimePerMessage => {
            let (this, base) = (each(this_group, time_per_message), each(base_group, time_per_message));
            let noise_of = |figures: &Vec<f64>| NoiseFloor::of_figures(figures, SEED).map(|noise| noise.floor());
            let noise = [&this, &base].into_iter().filter_map(noise_of).reduce(f64::max);
            (ratio_of_means(&this, &base, SEED), noise)
        }
        Figure::BusyCores => (ratio_of_means(&each(this_group, cores), &each(base_group, cores), SEED), None),
    };
    let (this_value, base_value) = (value(figure, this), value(figure, base));
    let word = if identical { Word::NoDifferenceSeen } else { Word::of(drawn.as_ref(), noise_floor) };
    let cpu = ratio_of_means(&each(this_group, cpu_per_op), &each(base_group, cpu_per_op), SEED);
    CellAcross {
        figure,
        baseline: Figures { n: base.n, value: base_value, p99_ns: p99(figure, base) },
        this: Figures { n: this.n, value: this_value, p99_ns: p99(figure, this) },
        identical,
        ratio: over(this_value, base_value),
        interval: drawn.as_ref().map(interval),
        noise_floor,
        unknown_because: (word == Word::Unknown)
            .then(|| reason(figure, name.workload, this_value.zip(base_value).is_some(), drawn.is_some())),
        word,
        p99: tail::across(&this_series, &base_series),
        cpu_per_op_ratio: over(this.cpu.total_us_per_op(), base.cpu.total_us_per_op()),
        cpu_per_op_interval: cpu.as_ref().map(interval),
        cores_ratio: over(this.cpu.cores, base.cpu.cores),
        bandwidth_ratio: over(this.bytes_per_second, base.bytes_per_second),
        name,
    }
}

/// The drivers are not looked at: they are told among the differences of the surroundings.
fn is_identical(this: &Cell, base: &Cell) -> bool {
    (this.n, &this.failures, &this.latency_ns, &this.corrected_ns)
        == (base.n, &base.failures, &base.latency_ns, &base.corrected_ns)
        && (&this.traffic, &this.cpu, &this.counters) == (&base.traffic, &base.cpu, &base.counters)
}

fn reason(figure: Figure, workload: Workload, has_values: bool, has_interval: bool) -> &'static str {
    match (figure, has_values, has_interval) {
        (_, true, _) if workload == Workload::Storm => "a storm has one latency a block, which is too few to judge",
        (_, false, _) => "one of the runs has no such figure",
        (Figure::BusyCores, ..) => "no word is said of a cost that has no noise floor",
        (Figure::TimePerMessage, true, false) => {
            "no interval: it takes two blocks of a stream, and one of the runs has fewer; measure more blocks"
        }
        (_, true, false) => why_unknown(false),
        (Figure::TimePerMessage, true, true) => {
            "no noise known: it takes four blocks of a stream, and one of the runs has fewer; measure more blocks"
        }
        (_, true, true) => why_unknown(true),
    }
}

fn value(figure: Figure, cell: &Cell) -> Option<f64> {
    match figure {
        Figure::Latency | Figure::FromDue => cell.latencies_by(figure)?.ns.p50.map(|ns| ns as f64),
        Figure::TimePerMessage => cell.messages_per_second.filter(|rate| *rate > 0.0).map(|rate| 1e9 / rate),
        Figure::BusyCores => cell.cpu.cores,
    }
}

fn p99(figure: Figure, cell: &Cell) -> Option<u64> {
    cell.latencies_by(figure)?.ns.p99
}

fn interval(ratio: &Ratio) -> Interval<f64> {
    Interval { low: ratio.low, high: ratio.high }
}

/// Equal figures are in the ratio 1, also where both are nothing. JSON has no infinity: anything else over nothing has no
/// ratio.
fn over(this: Option<f64>, base: Option<f64>) -> Option<f64> {
    let (this, base) = this.zip(base)?;
    #[expect(clippy::float_cmp, reason = "only the very same figure counts as equal")]
    if this == base {
        return Some(1.0);
    }
    Some(this / base).filter(|ratio| ratio.is_finite())
}

/// A figure of each block that has it.
fn each(group: &Group<'_>, figure: fn(&RunBlock<'_>) -> Option<f64>) -> Vec<f64> {
    group.blocks().iter().filter_map(figure).collect()
}

fn time_per_message(block: &RunBlock<'_>) -> Option<f64> {
    let traffic = block.measured.traffic.as_ref()?;
    (traffic.seen > 0).then(|| traffic.span_ns as f64 / traffic.seen as f64)
}

fn all_cpu_ns(block: &RunBlock<'_>) -> Option<f64> {
    let cpu = &block.measured.cpu;
    Some(cpu.host_ns as f64 + cpu.vcpu_ns? as f64 + cpu.main_loop_ns? as f64)
}

fn cpu_per_op(block: &RunBlock<'_>) -> Option<f64> {
    let operations = block.measured.operations;
    if operations == 0 { None } else { Some(all_cpu_ns(block)? / operations as f64) }
}

fn cores(block: &RunBlock<'_>) -> Option<f64> {
    let wall_ns = block.measured.wall_ns;
    if wall_ns == 0 { None } else { Some(all_cpu_ns(block)? / wall_ns as f64) }
}
