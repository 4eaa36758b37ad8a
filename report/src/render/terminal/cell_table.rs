//! The table of cells, with as many columns as fit.

use crate::render::report_doc::table::Table;
use crate::render::text_table::{aligned, compact};

/// Lines above the rows.
pub(super) const HEAD_LINES: usize = 2;

/// Columns of the summary.
const COLUMNS: [&str; 15] = [
    "workload", "size", "mode", "n", "min", "p50", "p90", "p99", "max", "mean", "irqs", "fail", "host/op", "vcpu/op",
    "cores",
];

/// Columns to drop, in this order, until the table fits. The report has all of them.
const DROP_ORDER: [&str; 11] = ["mean", "min", "p90", "max", "vcpu/op", "host/op", "irqs", "fail", "cores", "n", "p99"];

/// The first `rows` rows in at most `columns` columns, as long as enough columns can be dropped.
pub(super) fn lines(table: &Table, rows: usize, columns: usize) -> Vec<String> {
    let table = table.clone().select(&COLUMNS);
    let header: Vec<&str> = table.columns.iter().map(|column| column.name).collect();
    let rows: Vec<Vec<String>> = table
        .rows
        .iter()
        .take(rows)
        .map(|row| {
            let keys = row.values.iter().take(table.keys).map(|value| value.text.clone());
            keys.chain(row.values.iter().skip(table.keys).map(compact)).collect()
        })
        .collect();
    let mut shown: Vec<usize> = (0..header.len()).collect();
    let width_of = |column: usize| {
        let texts = rows.iter().map(|row| row[column].as_str()).chain([header[column]]);
        texts.map(|text| text.chars().count()).max().unwrap_or(0)
    };
    for dropped in DROP_ORDER {
        let width: usize = shown.iter().map(|&column| width_of(column) + 1).sum();
        if width <= columns + 1 {
            break;
        }
        shown.retain(|&column| header[column] != dropped);
    }
    let shown_header: Vec<&str> = shown.iter().map(|&column| header[column]).collect();
    let shown_rows = rows.iter().map(|row| shown.iter().map(|&column| row[column].clone()).collect());
    aligned(&shown_header, shown_rows, table.keys)
}
