//! The sections of the report, in its order.

mod comparisons;
mod contention;
mod cpu_time;
mod frames;
mod latency;
mod legs;
mod machine;
mod storm;
mod throughput;

pub(super) use self::machine::{brief_environment, machine_line};

use super::cell_label;
use super::checks;
use super::table::{SectionPart, Table, TableRow, columns};
use super::value::Value;
use crate::io::Run;
use crate::result::{Cell, RunResult};

/// A section of the report.
#[derive(Debug, Clone, PartialEq)]
pub struct Section {
    /// Its anchor, unique in the document.
    pub id: &'static str,
    /// Its heading.
    pub title: &'static str,
    /// Its content, in order. Never empty.
    pub parts: Vec<SectionPart>,
}

/// The sections for which the run has data.
pub(super) fn sections(result: &RunResult, run: &Run) -> Vec<Section> {
    let sections = [
        ("comparisons", "Comparison with polling", comparisons::comparisons(result)),
        ("latency", "Latency", latency::latency(result)),
        ("legs", "Legs of a round trip", legs::legs(result)),
        ("frames", "Bandwidth: verified frames", frames::frames(result, run)),
        ("stream", "Streams", throughput::streams(result)),
        ("openloop", "Open loop: latency by offered load", throughput::open_loops(result)),
        ("contention", "Contention: with busy threads", contention::contention(result)),
        ("storm", "Storm: interrupts per doorbell", storm::storms(result)),
        ("cpu", "CPU time", cpu_time::cpu_time(result)),
        ("counters", "Counters", cpu_time::counters(result)),
        ("ceilings", "Peak bandwidth", machine::peak_bandwidth(result)),
        ("checks", "Self-checks", checks::checks(result)),
        ("warnings", "Warnings", checks::warnings(result)),
        ("environment", "Environment", machine::environment(result)),
        ("config", "Configuration", machine::config(result)),
    ];
    let sections = sections.into_iter().filter(|(_, _, parts)| !parts.is_empty());
    sections.map(|(id, title, parts)| Section { id, title, parts }).collect()
}

/// A row of a cell: its keys, then `values`.
fn cell_row(cell: &Cell, values: impl IntoIterator<Item = Value>) -> TableRow {
    let mut row = cell_label::keys(cell);
    row.extend(values);
    TableRow { mode: Some(cell.mode.clone()), values: row }
}

/// A table with one row per cell, without unknown columns.
fn cell_table(
    id: &str,
    caption: &str,
    named: &[(&'static str, &'static str)],
    rows: Vec<TableRow>,
) -> Option<SectionPart> {
    let named: Vec<_> = [("case", ""), ("mode", "")].into_iter().chain(named.iter().copied()).collect();
    let columns = columns(&named);
    let table = Table { id: id.to_owned(), caption: caption.to_owned(), keys: 2, columns, rows, detail: false };
    table.without_unknown_columns().part()
}
