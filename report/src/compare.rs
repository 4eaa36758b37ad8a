//! Each way to wait against polling on both sides, cell by cell; and where equal things were measured twice, the second
//! against the first.

use crate::cell_name::CellKey;
use crate::cells::{Group, SEED};
use crate::figure::Figure;
use crate::plan::{Conditions, Wait};
use crate::result::{Cell, Comparison};
use crate::stats::{Interval, Word, ratio_of_medians};

/// Compares every cell with the polling cell of its workload, size and conditions, and a second arm with the first. A cell
/// without a baseline is not compared. `groups` are those that the cells were made of.
#[must_use]
pub fn comparisons(cells: &[Cell], groups: &[Group<'_>]) -> Vec<Comparison> {
    let all: Vec<(&Cell, &Group<'_>)> = cells.iter().zip(groups).collect();
    all.iter()
        .filter_map(|&this| {
            let base = *all.iter().find(|base| is_baseline(base.0, this.0))?;
            Some(comparison(this, base))
        })
        .collect()
}

fn is_baseline(base: &Cell, cell: &Cell) -> bool {
    let key = cell.key();
    let wanted = if key.conditions.again {
        CellKey { conditions: Conditions { again: false, ..key.conditions }, ..key }
    } else {
        CellKey { host_wait: Wait::Poll, guest_wait: Wait::Poll, ..key }
    };
    wanted != key && base.key() == wanted
}

fn comparison((cell, group): (&Cell, &Group<'_>), (baseline, base_group): (&Cell, &Group<'_>)) -> Comparison {
    let figure = Figure::between(cell, baseline);
    let both = [cell, baseline].map(|cell| cell.latencies_by(figure));
    let [this_median, base_median] = both.map(|latencies| latencies?.ns.p50);
    let medians = this_median.zip(base_median);
    let bootstrapped = ratio_of_medians(&group.series_of(figure), &base_group.series_of(figure), SEED);
    // With one arm of unknown noise, that of the other is the best guess there is.
    let noise_floor = both.iter().flatten().filter_map(|latencies| latencies.noise_floor).reduce(f64::max);
    Comparison {
        workload: cell.workload,
        size_bytes: cell.size_bytes,
        conditions: cell.conditions,
        mode: cell.mode.clone(),
        baseline: baseline.mode.clone(),
        figure,
        p50_ratio: medians.and_then(|(this, base)| ratio(this as f64, base as f64)),
        p50_ratio_interval: bootstrapped.as_ref().map(|ratio| Interval { low: ratio.low, high: ratio.high }),
        noise_floor,
        word: Word::of(bootstrapped.as_ref(), noise_floor),
        p50_difference_ns: medians.and_then(|(this, base)| i64::try_from(i128::from(this) - i128::from(base)).ok()),
        cpu_per_op_ratio: cell
            .cpu
            .total_us_per_op()
            .zip(baseline.cpu.total_us_per_op())
            .and_then(|(this, base)| ratio(this, base)),
        cores_ratio: cell.cpu.cores.zip(baseline.cpu.cores).and_then(|(this, base)| ratio(this, base)),
    }
}

/// JSON has no infinity: nothing to divide by is no ratio.
fn ratio(this: f64, base: f64) -> Option<f64> {
    Some(this / base).filter(|ratio| ratio.is_finite())
}
