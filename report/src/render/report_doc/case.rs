//! What a row is about.

use crate::result::{Cell, RunResult};
use bench_model::Workload;
use bench_model::units::size_name;

use super::value::Value;

/// Size and conditions of a cell, for instance `64 B, 2.00 ms gap`.
#[must_use]
pub fn name(cell: &Cell) -> String {
    let conditions = cell.conditions.to_string();
    // Messages under contention and storms are all of one size: the conditions distinguish them.
    let is_told_by_conditions = matches!(cell.workload, Workload::Contention | Workload::Openloop | Workload::Storm);
    match (conditions.is_empty(), is_told_by_conditions) {
        (true, true) if cell.workload == Workload::Storm => "as fast as possible".to_owned(),
        (true, _) => size_name(cell.size_bytes),
        (false, true) => conditions,
        (false, false) => format!("{}, {conditions}", size_name(cell.size_bytes)),
    }
}

/// The two values with which a row of a cell begins: its case and its mode.
#[must_use]
pub fn keys(cell: &Cell) -> Vec<Value> {
    vec![Value::word(name(cell)), Value::word(&cell.mode)]
}

/// The cells of a workload.
pub fn of(result: &RunResult, workload: Workload) -> impl Iterator<Item = &Cell> {
    result.cells.iter().filter(move |cell| cell.workload == workload)
}

/// What a workload's latency covers: from when to when.
#[must_use]
pub fn description(workload: Workload) -> &'static str {
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
