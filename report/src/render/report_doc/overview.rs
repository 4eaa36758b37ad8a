//! The overview: headline, one row per cell, notes, self-checks and warnings. It is the content of the terminal summary and
//! of the first part of the text report.

use super::checks::CheckSummary;
use super::headline::headline;
use super::notes::{Note, notes};
use super::{Column, Table, Value, cell_label};
use crate::render::wrap::printable;
use crate::result::metric::Metric;
use crate::result::{Cell, RunResult, Warning};
use bench_model::units::{acceleration, size_name};
use bench_model::{Arrivals, WaitMode, Workload};
use statistics::Summary;

/// The short form of the report.
#[derive(Debug, Clone, PartialEq)]
pub struct Overview {
    /// The result of the run in one or two sentences.
    pub headline: String,
    /// The accelerator, and what the results are valid for.
    pub label: String,
    /// The outcome of the self-checks.
    pub checks: CheckSummary,
    /// The warnings with their hints.
    pub warnings: Vec<Warning>,
    /// One row per cell. Renderers omit columns that do not fit.
    pub cells: Table,
    /// Number of cells that have neither a row nor a note.
    pub omitted_cells: usize,
    /// Explains wait modes, columns, dashes and corrected latencies. Empty without rows.
    pub legend: Vec<TableNote>,
    /// The cells with failed operations.
    pub failures: Option<String>,
    /// Results over several cells.
    pub notes: Vec<Note>,
}

/// One explanation in the legend of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableNote {
    /// The column that it explains. `None`: it applies to every selection of columns.
    pub column: Option<&'static str>,
    /// The explanation.
    pub text: String,
}

impl Overview {
    /// Of a result.
    pub fn new(result: &RunResult) -> Self {
        let omitted = |cell: &&Cell| !has_row(cell) && !has_own_line(cell.workload);
        Self {
            headline: headline(result),
            label: label(&result.environment.accel),
            checks: CheckSummary::new(result),
            warnings: result.warnings.clone(),
            cells: Table::new(
                "table-overview",
                "Latency and CPU time of each cell",
                3,
                &COLUMNS,
                result.cells.iter().filter(|cell| has_row(cell)),
            ),
            omitted_cells: result.cells.iter().filter(omitted).count(),
            legend: legend(result),
            failures: failures(result),
            notes: notes(result),
        }
    }

    /// The legend of a table with these columns. `None` if it is empty.
    pub fn legend_of(&self, columns: &[&str]) -> Option<String> {
        let applies = |entry: &&TableNote| entry.column.is_none_or(|column| columns.contains(&column));
        let texts: Vec<&str> = self.legend.iter().filter(applies).map(|entry| entry.text.as_str()).collect();
        (!texts.is_empty()).then(|| texts.join("; "))
    }
}

/// The accelerator, and what the results are valid for.
fn label(accel: &str) -> String {
    let name = printable(&acceleration(accel));
    if accel == "tcg" { name + ": neither times nor ratios predict KVM" } else { name }
}

/// Explains the wait modes, the columns, and corrected latencies. Empty without rows.
fn legend(result: &RunResult) -> Vec<TableNote> {
    let cells = || result.cells.iter().filter(|cell| has_row(cell));
    if cells().next().is_none() {
        return Vec::new();
    }
    let entry = |text| TableNote { column: None, text };
    let of_column = |column, text: &str| TableNote { column: Some(column), text: text.to_owned() };
    let is_used = |wait: &WaitMode| cells().any(|cell| cell.host_wait == *wait || cell.guest_wait == *wait);
    let waits = WaitMode::ALL.into_iter().filter(is_used);
    let mut entries: Vec<TableNote> =
        waits.map(|wait| entry(format!("{wait}: {}", wait.help().to_lowercase()))).collect();
    entries.extend([
        of_column("host/op", "*/op: CPU time of initiator and vCPUs per operation"),
        of_column("CPU/op", "CPU/op: CPU time of all threads per operation"),
        of_column("irqs", "irqs: with warm-up"),
    ]);
    let lacks_p99 = |cell: &Cell| cell.latencies().is_none_or(|latencies| latencies.ns.p99.is_none());
    if cells().any(|cell| lacks_p99(cell) || cell.cpu.cores.is_none() || cell.counters.interrupts.is_none()) {
        entries.push(entry("-: unknown, or too few samples (p90 needs 10, p99 1,000)".to_owned()));
    }
    let mut corrected: Vec<&str> =
        cells().filter(|cell| cell.metric() == Metric::CorrectedLatency).map(|cell| cell.workload.name()).collect();
    corrected.dedup();
    if !corrected.is_empty() {
        let workloads = corrected.join(", ");
        entries.push(entry(format!("{workloads}: corrected latency (from the scheduled send time)")));
    }
    entries
}

/// For instance `failed operations: pingpong 64 B irq: 3`.
fn failures(result: &RunResult) -> Option<String> {
    let failed = result.cells.iter().filter(|cell| cell.failed() > 0);
    let cells: Vec<String> = failed
        .map(|cell| format!("{} {} {}: {}", cell.workload, cell_label::label(cell), cell.mode, cell.failed()))
        .collect();
    (!cells.is_empty()).then(|| format!("failed operations: {}", cells.join("; ")))
}

/// The columns of the overview: latency percentiles, counters and CPU time.
pub(crate) const COLUMNS: [Column<Cell>; 17] = [
    ("workload", "", |cell| Value::word(cell.workload.name())),
    ("size", "", |cell| Value::word(size_or_rate(cell))),
    ("mode", "", |cell| Value::word(&cell.mode)),
    ("n", "operations that succeeded", |cell| Value::word(cell.n.to_string())),
    ("min", "", |cell| Value::ns(latency(cell).map(|ns| ns.min))),
    ("p50", "", |cell| Value::ns(latency(cell).and_then(|ns| ns.p50))),
    ("95 % interval", "of p50", |cell| {
        let interval = cell.latencies().and_then(|latencies| latencies.p50_interval());
        interval.map_or_else(Value::unknown, |interval| Value::range_ns(&interval))
    }),
    ("p90", "", |cell| Value::ns(latency(cell).and_then(|ns| ns.p90))),
    ("p99", "", |cell| Value::ns(latency(cell).and_then(|ns| ns.p99))),
    ("max", "", |cell| Value::ns(latency(cell).map(|ns| ns.max))),
    ("mean", "", |cell| Value::mean_ns(latency(cell).map(|ns| ns.mean))),
    ("irqs", "interrupts in the guest", |cell| {
        cell.counters.interrupts.map_or_else(Value::unknown, |count| Value::word(count.to_string()))
    }),
    ("fail", "operations that failed", |cell| Value::word(cell.failed().to_string())),
    ("host/op", "CPU time of the initiator per operation", |cell| Value::cpu_us(cell.cpu.host_us_per_op)),
    ("vcpu/op", "CPU time of the vCPUs per operation", |cell| Value::cpu_us(cell.cpu.vcpu_us_per_op)),
    ("CPU/op", "CPU time of all threads per operation", |cell| Value::cpu_us(cell.cpu.total_us_per_op())),
    ("cores", "CPU in use", |cell| Value::number(cell.cpu.cores)),
];

fn latency(cell: &Cell) -> Option<&Summary> {
    cell.latencies().map(|latencies| latencies.ns)
}

/// The size, or the offered rate of an open loop, whose messages all have one size. `~` marks random intervals.
fn size_or_rate(cell: &Cell) -> String {
    let Some(rate) = cell.conditions.rate_per_s.filter(|_| cell.workload == Workload::Openloop) else {
        return size_name(cell.size_bytes);
    };
    let mark = if cell.conditions.arrivals == Some(Arrivals::Poisson) { "~" } else { "" };
    format!("{mark}{rate}/s")
}

/// Whether the overview has a row for the cell. Other cells have a note, or repeat a cell under other conditions.
pub(crate) fn has_row(cell: &Cell) -> bool {
    let conditions = &cell.conditions;
    !has_own_line(cell.workload) && !conditions.cold && !conditions.aa_repeat && !conditions.full_stamps
}

/// Whether a note covers the cells of this workload. The overview table omits these cells.
fn has_own_line(workload: Workload) -> bool {
    match workload {
        Workload::Stream | Workload::Storm | Workload::Idle | Workload::Contention => true,
        Workload::Pingpong | Workload::Paced | Workload::Openloop | Workload::Frame => false,
    }
}
