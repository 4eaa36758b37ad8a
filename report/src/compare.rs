//! Each way to wait against polling on both sides, cell by cell.

use crate::plan::Wait;
use crate::result::{Cell, Comparison};

/// Compares every cell with the polling cell of its workload and size. A cell without one is not compared.
#[must_use]
pub fn comparisons(cells: &[Cell]) -> Vec<Comparison> {
    cells
        .iter()
        .filter(|cell| !polls(cell))
        .filter_map(|cell| {
            let baseline = cells
                .iter()
                .find(|other| polls(other) && (other.workload, other.size_bytes) == (cell.workload, cell.size_bytes))?;
            Some(comparison(cell, baseline))
        })
        .collect()
}

fn polls(cell: &Cell) -> bool {
    cell.host_wait == Wait::Poll && cell.guest_wait == Wait::Poll
}

fn comparison(cell: &Cell, baseline: &Cell) -> Comparison {
    let medians = median(cell).zip(median(baseline));
    Comparison {
        workload: cell.workload,
        size_bytes: cell.size_bytes,
        mode: cell.mode.clone(),
        baseline: baseline.mode.clone(),
        p50_ratio: medians.and_then(|(this, base)| ratio(this as f64, base as f64)),
        p50_difference_ns: medians.and_then(|(this, base)| i64::try_from(i128::from(this) - i128::from(base)).ok()),
        cpu_per_op_ratio: cell
            .cpu
            .total_us_per_op()
            .zip(baseline.cpu.total_us_per_op())
            .and_then(|(this, base)| ratio(this, base)),
        cores_ratio: cell.cpu.cores.zip(baseline.cpu.cores).and_then(|(this, base)| ratio(this, base)),
    }
}

fn median(cell: &Cell) -> Option<u64> {
    cell.latency_ns.as_ref()?.p50
}

/// JSON has no infinity: nothing to divide by is no ratio.
fn ratio(this: f64, base: f64) -> Option<f64> {
    Some(this / base).filter(|ratio| ratio.is_finite())
}
