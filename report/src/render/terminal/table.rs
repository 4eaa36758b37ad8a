//! The table of cells: one line each, numbers with their units.

use comfy_table::{CellAlignment, LineStyle, Table, presets};

use crate::result::Cell;
use crate::stats::Summary;
use bench_model::units::size_name;
use bench_model::units::{duration, sig3};
use bench_model::{Arrivals, Workload};

const HEADER: [&str; 15] = [
    "workload", "size", "mode", "n", "min", "p50", "p90", "p99", "max", "mean", "irqs", "fail", "host/op", "vcpu/op",
    "cores",
];

/// The columns from which on there are numbers.
const FIRST_NUMBER: usize = 3;

/// Lines that a table has besides its cells.
pub(super) const HEAD_LINES: usize = 2;

/// Columns that go, in this order, where a line would be too long. The report has all of them.
const SPARED: [&str; 11] = ["mean", "min", "p90", "max", "vcpu/op", "host/op", "irqs", "fail", "cores", "n", "p99"];

/// The table's lines, none longer than so many columns as long as columns can be left out.
pub(super) fn lines(cells: &[&Cell], columns: usize) -> Vec<String> {
    let rows: Vec<Vec<String>> = cells.iter().map(|cell| row(cell)).collect();
    let mut shown: Vec<usize> = (0..HEADER.len()).collect();
    let width_of = |column: usize| {
        let texts = rows.iter().map(|row| row[column].as_str()).chain([HEADER[column]]);
        texts.map(|text| text.chars().count()).max().unwrap_or(0)
    };
    for spared in SPARED {
        let width: usize = shown.iter().map(|&column| width_of(column) + 1).sum();
        if width <= columns + 1 {
            break;
        }
        shown.retain(|&column| HEADER[column] != spared);
    }
    let header: Vec<&str> = shown.iter().map(|&column| HEADER[column]).collect();
    let rows = rows.iter().map(|row| shown.iter().map(|&column| row[column].clone()).collect());
    aligned(&header, rows, FIRST_NUMBER)
}

/// A table in this project's style: columns from `first_number` on are numbers and stand to the right.
pub(crate) fn aligned(header: &[&str], rows: impl Iterator<Item = Vec<String>>, first_number: usize) -> Vec<String> {
    let mut table = Table::new();
    // One column between columns: the style's junction, with no padding beside it.
    table.load_style(presets::NOTHING.header_separator(LineStyle::none().fill('-').junction('-')));
    table.set_header(header);
    table.add_rows(rows);
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 0));
        if index >= first_number {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect()
}

fn row(cell: &Cell) -> Vec<String> {
    let latency = |figure: fn(&Summary) -> Option<f64>| time(cell.latencies().and_then(|all| figure(all.ns)));
    let cpu = |us: Option<f64>| time(us.map(|us| us * 1e3));
    vec![
        cell.workload.to_string(),
        what(cell),
        cell.mode.clone(),
        cell.n.to_string(),
        latency(|all| Some(all.min as f64)),
        latency(|all| all.p50.map(|ns| ns as f64)),
        latency(|all| all.p90.map(|ns| ns as f64)),
        latency(|all| all.p99.map(|ns| ns as f64)),
        latency(|all| Some(all.max as f64)),
        latency(|all| Some(all.mean)),
        or_dash(cell.counters.interrupts.map(|count| count.to_string())),
        cell.failed().to_string(),
        cpu(cell.cpu.host_us_per_op),
        cpu(cell.cpu.vcpu_us_per_op),
        or_dash(cell.cpu.cores.map(sig3)),
    ]
}

/// Messages are all of one size: what tells them apart is the rate. Of a stream it is size and ring.
pub(crate) fn what(cell: &Cell) -> String {
    match (cell.workload, cell.conditions.rate_per_s, cell.conditions.slots) {
        (Workload::Openloop, Some(rate), _) => {
            let kind = if cell.conditions.arrivals == Some(Arrivals::Poisson) { "~" } else { "" };
            format!("{kind}{rate}/s")
        }
        (Workload::Stream, _, Some(slots)) => {
            let bell = if cell.conditions.always_ring { "!" } else { "" };
            format!("{}x{slots}{bell}", size_name(cell.size_bytes).replace(' ', ""))
        }
        _ => size_name(cell.size_bytes),
    }
}

/// Without the space before the unit: fifteen columns have to fit.
pub(crate) fn time(ns: Option<f64>) -> String {
    or_dash(ns.map(|ns| duration(ns).replace(' ', "")))
}

pub(crate) fn or_dash(figure: Option<String>) -> String {
    figure.unwrap_or_else(|| "-".to_owned())
}
