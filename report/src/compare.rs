//! Each way to wait against polling on both sides, cell by cell; and where equal things were measured twice, the second
//! against the first.

use crate::beside::{self, Drawn};
use crate::cell_name::CellKey;
use crate::cells::Group;
use crate::figure::Figure;
use crate::plan::{Conditions, Wait};
use crate::result::{Cell, Comparison};
use crate::stats::{Interval, Word};

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

fn comparison(this: (&Cell, &Group<'_>), base: (&Cell, &Group<'_>)) -> Comparison {
    let (cell, baseline) = (this.0, base.0);
    let figure = Figure::between(cell, baseline);
    // Idling has a cost alone, which is told as `cores_ratio`.
    let is_judged = figure != Figure::BusyCores;
    let Drawn { ratio: drawn, noise_floor } =
        if is_judged { beside::drawn(figure, this, base) } else { Drawn::default() };
    let values = if is_judged { beside::value(figure, cell).zip(beside::value(figure, baseline)) } else { None };
    let medians = [cell, baseline].map(|cell| cell.latencies_by(figure)?.ns.p50);
    let medians = medians[0].zip(medians[1]);
    Comparison {
        workload: cell.workload,
        size_bytes: cell.size_bytes,
        conditions: cell.conditions,
        mode: cell.mode.clone(),
        baseline: baseline.mode.clone(),
        figure,
        p50_ratio: values.and_then(|(this, base)| ratio(this, base)),
        p50_ratio_interval: drawn.as_ref().map(|ratio| Interval { low: ratio.low, high: ratio.high }),
        noise_floor,
        word: Word::of(drawn.as_ref(), noise_floor),
        mean: matches!(figure, Figure::Latency | Figure::FromDue)
            .then(|| beside::means(figure, this.1, base.1))
            .flatten(),
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
