//! The fastest ring of slots of each mode: what a stream's cells come down to.

use std::collections::BTreeMap;

use crate::result::Cell;
use bench_model::WaitMode;

/// Of these cells the one with the most bytes per second in each mode, with that rate. Cells without a rate are left out.
pub(crate) fn fastest<'a>(cells: impl IntoIterator<Item = &'a Cell>) -> Vec<(&'a Cell, f64)> {
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
