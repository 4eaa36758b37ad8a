//! Compares two cells by one metric: values, ratio with interval, noise floor. Ratio and interval come from the same
//! estimator.

use crate::evaluate::cells::{MeasuredCell, SEED};
use crate::io::run::RunBlock;
use crate::result::cell::Cell;
use crate::result::comparison::MeanRatio;
use crate::result::metric::Metric;
use statistics::{BlockTotal, Change, Interval, Ratio, noise_floor_of_totals, ratio_of_medians, ratio_of_totals};

/// A ratio with its noise floor.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct RatioEstimate {
    /// With its interval.
    pub(crate) ratio: Option<Ratio>,
    /// The larger noise floor of both cells; if one is unknown, that of the other.
    pub(crate) noise_floor: Option<f64>,
}

impl RatioEstimate {
    pub(crate) fn interval(&self) -> Option<Interval<f64>> {
        Some(self.ratio?.interval)
    }

    pub(crate) fn change(&self) -> Change {
        Change::from_interval(self.interval(), self.noise_floor)
    }

    fn of_totals(this: &[BlockTotal], base: &[BlockTotal]) -> Self {
        let floors = [this, base].into_iter().filter_map(|blocks| noise_floor_of_totals(blocks, SEED));
        Self { ratio: ratio_of_totals(this, base, SEED), noise_floor: floors.reduce(f64::max) }
    }
}

/// Estimates the ratio of two cells.
pub(crate) fn estimate_ratio(figure: Metric, this: &MeasuredCell<'_>, base: &MeasuredCell<'_>) -> RatioEstimate {
    match figure {
        Metric::Latency | Metric::CorrectedLatency => {
            let [this_series, base_series] = [this, base].map(|cell| cell.blocks.series(figure));
            let floors =
                [this, base].into_iter().filter_map(|measured| measured.cell.latencies_by(figure)?.noise_floor);
            RatioEstimate {
                ratio: ratio_of_medians(&this_series, &base_series, SEED),
                noise_floor: floors.reduce(f64::max),
            }
        }
        Metric::TimePerMessage => {
            RatioEstimate::of_totals(&block_totals(this, time_per_message), &block_totals(base, time_per_message))
        }
        Metric::BusyCores => RatioEstimate { ratio: quotients(this, base, cores), noise_floor: None },
    }
}

/// The ratio of mean latencies. `None`: one cell has none.
pub(crate) fn mean_ratio(figure: Metric, this: &MeasuredCell<'_>, base: &MeasuredCell<'_>) -> Option<MeanRatio> {
    let [this, base] = [this, base].map(|cell| sums(&cell.blocks.series(figure)));
    let mean = |blocks: &[BlockTotal]| {
        blocks.iter().map(|block| block.sum).sum::<f64>() / blocks.iter().map(|block| block.over).sum::<f64>()
    };
    let ratio = Some(mean(&this) / mean(&base)).filter(|ratio| ratio.is_finite() && *ratio > 0.0)?;
    let estimate = RatioEstimate::of_totals(&this, &base);
    let (interval, word) = (estimate.interval(), estimate.change());
    Some(MeanRatio { ratio, interval, noise_floor: estimate.noise_floor, word })
}

/// `None` for division by zero: JSON cannot represent infinity.
pub(crate) fn over(this: Option<f64>, base: Option<f64>) -> Option<f64> {
    Some(this? / base?).filter(|ratio| ratio.is_finite())
}

/// Sum and count of each block, for the mean.
fn sums(series: &[Vec<u64>]) -> Vec<BlockTotal> {
    let sum = |block: &Vec<u64>| BlockTotal { sum: block.iter().map(|&ns| ns as f64).sum(), over: block.len() as f64 };
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
    total: fn(&RunBlock<'_>) -> Option<BlockTotal>,
) -> Option<Ratio> {
    let all = |cell: &MeasuredCell<'_>| cell.blocks.blocks.iter().map(total).collect::<Option<Vec<BlockTotal>>>();
    ratio_of_totals(&all(this)?, &all(base)?, SEED)
}

/// The costs of the blocks that have one, as for the cell's rate.
fn block_totals(cell: &MeasuredCell<'_>, total: fn(&RunBlock<'_>) -> Option<BlockTotal>) -> Vec<BlockTotal> {
    cell.blocks.blocks.iter().filter_map(total).collect()
}

fn time_per_message(block: &RunBlock<'_>) -> Option<BlockTotal> {
    let traffic = block.measured.traffic.as_ref()?;
    Some(BlockTotal { sum: traffic.span_ns as f64, over: traffic.seen as f64 })
}

fn cpu(block: &RunBlock<'_>) -> Option<BlockTotal> {
    Some(BlockTotal { sum: all_cpu_ns(block)?, over: block.measured.operations as f64 })
}

fn cores(block: &RunBlock<'_>) -> Option<BlockTotal> {
    Some(BlockTotal { sum: all_cpu_ns(block)?, over: block.measured.wall_ns as f64 })
}

fn all_cpu_ns(block: &RunBlock<'_>) -> Option<f64> {
    let cpu = &block.measured.cpu;
    Some(cpu.host_ns as f64 + cpu.vcpu_ns? as f64 + cpu.main_loop_ns? as f64)
}
