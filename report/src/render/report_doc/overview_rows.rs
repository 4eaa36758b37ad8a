//! Which cells have a row in the overview table.

use bench_model::Workload;

use crate::result::cell::Cell;

/// Whether the overview has a row for the cell. Other cells have a note, or repeat a cell under other conditions.
pub(crate) fn has_row(cell: &Cell) -> bool {
    let conditions = &cell.conditions;
    !has_own_line(cell.workload) && !conditions.cold && !conditions.aa_repeat && !conditions.full_stamps
}

/// Whether a note covers the cells of this workload. The overview table omits these cells.
pub(super) fn has_own_line(workload: Workload) -> bool {
    match workload {
        Workload::Stream | Workload::Storm | Workload::Idle | Workload::Contention => true,
        Workload::Pingpong | Workload::Paced | Workload::Openloop | Workload::Frame => false,
    }
}
