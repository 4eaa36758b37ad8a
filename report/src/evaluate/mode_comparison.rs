//! Compares each wait mode with polling on both sides, cell by cell. With `--aa`, also compares the repeat with the
//! first series.

use bench_model::{Conditions, WaitMode};

use crate::evaluate::cells::MeasuredCell;
use crate::evaluate::ratio::{RatioEstimate, estimate_ratio, mean_ratio, metric_value, over};
use crate::result::cell::Cell;
use crate::result::cell_key::CellKey;
use crate::result::comparison::Comparison;
use crate::result::metric::Metric;

/// Compares every cell with the polling cell of its workload, size and conditions, and each A/A repeat with its first
/// series. Cells without a baseline are skipped.
pub(crate) fn comparisons(cells: &[MeasuredCell<'_>]) -> Vec<Comparison> {
    let baseline = |this: &MeasuredCell<'_>| cells.iter().find(|base| is_baseline(&base.cell, &this.cell));
    cells.iter().filter_map(|this| Some(comparison(this, baseline(this)?))).collect()
}

fn is_baseline(base: &Cell, cell: &Cell) -> bool {
    let key = cell.key();
    let wanted = if key.conditions.aa_repeat {
        CellKey { conditions: Conditions { aa_repeat: false, ..key.conditions }, ..key }
    } else {
        CellKey { host_wait: WaitMode::Poll, guest_wait: WaitMode::Poll, ..key }
    };
    wanted != key && base.key() == wanted
}

fn comparison(this: &MeasuredCell<'_>, base: &MeasuredCell<'_>) -> Comparison {
    let (cell, baseline) = (&this.cell, &base.cell);
    let figure = cell.common_metric(baseline);
    // Idle cells have only a cost, given as `cores_ratio`.
    let (estimate, ratio) = if figure == Metric::BusyCores {
        (RatioEstimate::default(), None)
    } else {
        (estimate_ratio(figure, this, base), over(metric_value(figure, cell), metric_value(figure, baseline)))
    };
    let has_mean = matches!(figure, Metric::Latency | Metric::CorrectedLatency);
    let medians = [cell, baseline].map(|cell| cell.latencies_by(figure)?.ns.p50);
    let medians = medians[0].zip(medians[1]);
    Comparison {
        workload: cell.workload,
        size_bytes: cell.size_bytes,
        conditions: cell.conditions,
        mode: cell.mode.clone(),
        baseline: baseline.mode.clone(),
        figure,
        p50_ratio: ratio,
        p50_ratio_interval: estimate.interval(),
        noise_floor: estimate.noise_floor,
        word: estimate.change(),
        mean: has_mean.then(|| mean_ratio(figure, this, base)).flatten(),
        p50_difference_ns: medians.and_then(|(this, base)| i64::try_from(i128::from(this) - i128::from(base)).ok()),
        cpu_per_op_ratio: over(cell.cpu.total_us_per_op(), baseline.cpu.total_us_per_op()),
        cores_ratio: over(cell.cpu.cores, baseline.cpu.cores),
    }
}
