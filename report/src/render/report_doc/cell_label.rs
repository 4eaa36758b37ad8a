//! Labels of cells and workloads.

use crate::result::cell::Cell;
use bench_model::Workload;
use bench_model::units::size_name;

use super::{Column, Table, Value};

/// Size and conditions of a cell, for instance `64 B, 2.00 ms gap`.
pub(super) fn label(cell: &Cell) -> String {
    let conditions = cell.conditions.to_string();
    // These workloads have a single message size, so the conditions distinguish their cells.
    let conditions_suffice = matches!(cell.workload, Workload::Contention | Workload::Openloop | Workload::Storm);
    match (conditions.is_empty(), conditions_suffice) {
        (true, true) if cell.workload == Workload::Storm => "as fast as possible".to_owned(),
        (true, _) => size_name(cell.size_bytes),
        (false, true) => conditions,
        (false, false) => format!("{}, {conditions}", size_name(cell.size_bytes)),
    }
}

/// The key columns of a table of cells of several workloads; without the first one, of a single workload.
pub(super) const KEYS: [Column<Cell>; 3] = [
    ("workload", "", |cell| Value::word(cell.workload.name())),
    ("case", "", |cell| Value::word(label(cell))),
    ("mode", "", |cell| Value::word(&cell.mode)),
];

/// A table with one row per cell of one workload, without unknown columns.
pub(super) fn cell_table<'a>(
    id: impl Into<String>,
    caption: impl Into<String>,
    columns: &[Column<Cell>],
    cells: impl IntoIterator<Item = &'a Cell>,
) -> Table {
    Table::new(id, caption, 2, &[&KEYS[1..], columns].concat(), cells).without_unknown_columns()
}

/// What the latency of a workload covers.
pub(super) fn description(workload: Workload) -> &'static str {
    match workload {
        Workload::Pingpong => {
            "pingpong: round trips back to back, from publishing a message to its second acknowledgement"
        }
        Workload::Paced => "paced: round trips with a gap before each message, from the actual send time",
        Workload::Openloop => {
            "openloop: messages at an offered rate, from the actual send time to the second acknowledgement"
        }
        Workload::Frame => "frame: write, notify, read and verify, end to end",
        Workload::Stream => "stream: messages through a ring of slots",
        Workload::Storm => "storm: the last message of a storm, from publishing to its acknowledgement",
        Workload::Idle => "idle: waiting without messages",
        Workload::Contention => "contention: round trips with busy threads on the same cores",
    }
}
