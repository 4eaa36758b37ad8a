//! Compares a cell of a run with the same cell of the baseline.

use serde::Serialize;

use crate::evaluate::cells::MeasuredCell;
use crate::evaluate::ratio::{cpu_per_op, estimate_ratio, metric_value, over};
use crate::result::cell::Cell;
use crate::result::cell_key::CellKey;
use crate::result::comparison::inconclusive_reason;
use crate::result::metric::Metric;
use statistics::{Change, Interval};

use super::p99::{P99Ratio, p99_ratio};

/// A metric in one run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct MetricValues {
    /// Operations that ended ok.
    pub n: u64,
    /// The value of the [`Metric`]: nanoseconds, or cores.
    pub value: Option<f64>,
    /// Its 99th percentile.
    pub p99_ns: Option<u64>,
}

/// A cell that both runs have. Ratios are this run over the baseline.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CellDelta {
    /// The cell.
    #[serde(flatten)]
    pub name: CellKey,
    /// The compared metric.
    pub figure: Metric,
    /// In the baseline.
    pub baseline: MetricValues,
    /// In this run.
    pub this: MetricValues,
    /// Whether both have identical samples and costs.
    pub identical: bool,
    /// The ratio.
    pub ratio: Option<f64>,
    /// Its 95 % interval by a block bootstrap of the same estimator; for latencies over the raw samples.
    pub interval: Option<Interval<f64>>,
    /// The larger noise floor of both runs.
    pub noise_floor: Option<f64>,
    /// The outcome for this run.
    pub word: Change,
    /// Why it is inconclusive.
    pub unknown_because: Option<&'static str>,
    /// If both have enough samples.
    pub p99: Option<P99Ratio>,
    /// Ratio of the CPU time per operation, all threads.
    pub cpu_per_op_ratio: Option<f64>,
    /// Its 95 % interval, drawn from the blocks.
    pub cpu_per_op_interval: Option<Interval<f64>>,
    /// Ratio of the cores in use.
    pub cores_ratio: Option<f64>,
    /// Ratio of bytes per second, for frames and streams. Above 1 is better.
    pub bandwidth_ratio: Option<f64>,
}

/// Compares the cell of a run with that of the baseline.
pub(super) fn compare_cell(measured: &MeasuredCell<'_>, baseline: &MeasuredCell<'_>) -> CellDelta {
    let (this, base) = (&measured.cell, &baseline.cell);
    let figure = this.common_metric(base);
    let (this_series, base_series) = (measured.blocks.series(figure), baseline.blocks.series(figure));
    let identical = is_identical(this, base) && this_series == base_series;
    let estimate = estimate_ratio(figure, measured, baseline);
    let (this_value, base_value) = (metric_value(figure, this), metric_value(figure, base));
    let has_values = this_value.is_some() && base_value.is_some();
    let word = if identical { Change::NotSignificant } else { estimate.change() };
    CellDelta {
        figure,
        baseline: MetricValues { n: base.n, value: base_value, p99_ns: p99(figure, base) },
        this: MetricValues { n: this.n, value: this_value, p99_ns: p99(figure, this) },
        identical,
        ratio: ratio_of(this_value, base_value),
        interval: estimate.interval(),
        noise_floor: estimate.noise_floor,
        unknown_because: (word == Change::Inconclusive)
            .then(|| inconclusive_reason(figure, this.workload, has_values, estimate.ratio.is_some())),
        word,
        p99: p99_ratio(&this_series, &base_series),
        cpu_per_op_ratio: ratio_of(this.cpu.total_us_per_op(), base.cpu.total_us_per_op()),
        cpu_per_op_interval: cpu_per_op(measured, baseline).map(|ratio| ratio.interval),
        cores_ratio: ratio_of(this.cpu.cores, base.cpu.cores),
        bandwidth_ratio: ratio_of(this.bytes_per_second, base.bytes_per_second),
        name: this.key(),
    }
}

/// Drivers are ignored: they are listed with the environment.
fn is_identical(this: &Cell, base: &Cell) -> bool {
    (this.n, &this.failures, &this.latency_ns, &this.corrected_ns)
        == (base.n, &base.failures, &base.latency_ns, &base.corrected_ns)
        && (&this.traffic, &this.cpu, &this.counters) == (&base.traffic, &base.cpu, &base.counters)
}

fn p99(figure: Metric, cell: &Cell) -> Option<u64> {
    cell.latencies_by(figure)?.ns.p99
}

/// Equal values have the ratio 1, even zeros.
fn ratio_of(this: Option<f64>, base: Option<f64>) -> Option<f64> {
    let is_equal = this.is_some() && this == base;
    if is_equal { Some(1.0) } else { over(this, base) }
}
