//! Compares two cells by one metric: values, ratio with interval, noise floor. Ratio and interval come from the same
//! estimator.

use crate::evaluate::cells::{MeasuredCell, SEED};
use crate::io::run::RunBlock;
use crate::result::cell::Cell;
use crate::result::comparison::MeanRatio;
use crate::result::metric::Metric;
use statistics::{Change, Interval, NoiseFloor, Ratio, Share, ratio_of_medians, ratio_of_totals};

/// A ratio with its noise floor.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct RatioEstimate {
    /// With its interval.
    pub(crate) ratio: Option<Ratio>,
    /// The larger noise floor of both cells; if one is unknown, that of the other.
    pub(crate) noise_floor: Option<f64>,
}

/// Estimates the ratio of two cells.
pub(crate) fn estimate_ratio(figure: Metric, this: &MeasuredCell<'_>, base: &MeasuredCell<'_>) -> RatioEstimate {
    let both = [this, base];
    match figure {
        Metric::Latency | Metric::CorrectedLatency => {
            let [this_series, base_series] = both.map(|one| one.blocks.series(figure));
            let floors = both.into_iter().filter_map(|one| one.cell.latencies_by(figure)?.noise_floor);
            RatioEstimate {
                ratio: ratio_of_medians(&this_series, &base_series, SEED),
                noise_floor: floors.reduce(f64::max),
            }
        }
        Metric::TimePerMessage => {
            let [this, base] = both.map(|one| known(one, time_per_message));
            let floor_of = |blocks: &Vec<Share>| NoiseFloor::from_totals(blocks, SEED).map(|noise| noise.floor());
            RatioEstimate {
                ratio: ratio_of_totals(&this, &base, SEED),
                noise_floor: [&this, &base].into_iter().filter_map(floor_of).reduce(f64::max),
            }
        }
        Metric::BusyCores => RatioEstimate { ratio: quotients(this, base, cores), noise_floor: None },
    }
}

/// The ratio of mean latencies. `None`: one cell has none.
pub(crate) fn mean_ratio(figure: Metric, this: &MeasuredCell<'_>, base: &MeasuredCell<'_>) -> Option<MeanRatio> {
    let [this, base] = [this, base].map(|one| sums(&one.blocks.series(figure)));
    let mean = |blocks: &[Share]| {
        let [sum, over] = [|one: &Share| one.sum, |one: &Share| one.over].map(|of| blocks.iter().map(of).sum::<f64>());
        sum / over
    };
    let ratio = Some(mean(&this) / mean(&base)).filter(|ratio| ratio.is_finite() && *ratio > 0.0)?;
    let drawn = ratio_of_totals(&this, &base, SEED);
    let floor_of = |blocks: &Vec<Share>| NoiseFloor::from_totals(blocks, SEED).map(|noise| noise.floor());
    let noise_floor = [&this, &base].into_iter().filter_map(floor_of).reduce(f64::max);
    let interval = drawn.as_ref().map(|drawn| Interval { low: drawn.low, high: drawn.high });
    Some(MeanRatio { ratio, interval, noise_floor, word: Change::of(drawn.as_ref(), noise_floor) })
}

/// Sum and count of each block, for the mean.
fn sums(series: &[Vec<u64>]) -> Vec<Share> {
    let sum = |block: &Vec<u64>| Share { sum: block.iter().map(|&ns| ns as f64).sum(), over: block.len() as f64 };
    series.iter().filter(|block| !block.is_empty()).map(sum).collect()
}

/// The ratio of the CPU time per operation, all threads.
pub(crate) fn cpu_per_op(this: &MeasuredCell<'_>, base: &MeasuredCell<'_>) -> Option<Ratio> {
    quotients(this, base, cpu)
}

/// A cell's metric: nanoseconds, or cores.
pub(crate) fn metric_value(figure: Metric, cell: &Cell) -> Option<f64> {
    match figure {
        Metric::Latency | Metric::CorrectedLatency => cell.latencies_by(figure)?.ns.p50.map(|ns| ns as f64),
        Metric::TimePerMessage => cell.messages_per_second.filter(|rate| *rate > 0.0).map(|rate| 1e9 / rate),
        Metric::BusyCores => cell.cpu.cores,
    }
}

/// A ratio of costs. `None` unless each block of both cells has that cost.
fn quotients(
    this: &MeasuredCell<'_>,
    base: &MeasuredCell<'_>,
    share: fn(&RunBlock<'_>) -> Option<Share>,
) -> Option<Ratio> {
    let all = |one: &MeasuredCell<'_>| one.blocks.blocks.iter().map(share).collect::<Option<Vec<Share>>>();
    ratio_of_totals(&all(this)?, &all(base)?, SEED)
}

/// The costs of the blocks that have one, as for the cell's rate.
fn known(one: &MeasuredCell<'_>, share: fn(&RunBlock<'_>) -> Option<Share>) -> Vec<Share> {
    one.blocks.blocks.iter().filter_map(share).collect()
}

fn time_per_message(block: &RunBlock<'_>) -> Option<Share> {
    let traffic = block.measured.traffic.as_ref()?;
    Some(Share { sum: traffic.span_ns as f64, over: traffic.seen as f64 })
}

fn cpu(block: &RunBlock<'_>) -> Option<Share> {
    Some(Share { sum: all_cpu_ns(block)?, over: block.measured.operations as f64 })
}

fn cores(block: &RunBlock<'_>) -> Option<Share> {
    Some(Share { sum: all_cpu_ns(block)?, over: block.measured.wall_ns as f64 })
}

fn all_cpu_ns(block: &RunBlock<'_>) -> Option<f64> {
    let cpu = &block.measured.cpu;
    Some(cpu.host_ns as f64 + cpu.vcpu_ns? as f64 + cpu.main_loop_ns? as f64)
}
