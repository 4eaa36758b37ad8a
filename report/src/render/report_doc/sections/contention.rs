//! Section "Contention": latency with busy threads.

use crate::render::report_doc::cell_label;
use crate::render::report_doc::table::{SectionPart, Table, TableRow, columns};
use crate::render::report_doc::value::Value;
use crate::render::report_doc::verdict;
use crate::result::findings::ContentionResult;
use crate::result::{Cell, RunResult};
use bench_model::{WaitMode, Workload};

use super::latency;

pub(super) fn contention(result: &RunResult) -> Vec<SectionPart> {
    let rows: Vec<TableRow> =
        result.findings.contention.iter().map(|contention| contention_row(result, contention)).collect();
    let mut table = Table {
        id: "table-contention".to_owned(),
        caption: "Latency with busy threads, poll and irq; with a gap: corrected latency".to_owned(),
        keys: 2,
        columns: columns(&[
            ("busy threads", ""),
            ("gap", "between messages"),
            ("poll mean", ""),
            ("irq mean", ""),
            ("lower mean", "only if the difference is significant"),
            ("poll p50", ""),
            ("irq p50", ""),
            (
                "lower p50",
                "only if the difference is significant; bimodal: the medians of equal blocks lie in different modes, compare \
                 the means",
            ),
            ("poll p90", ""),
            ("irq p90", ""),
        ]),
        rows,
        detail: false,
    };
    for verdict_column in [4, 7] {
        table.columns[verdict_column].prose = true;
    }
    let mut parts: Vec<SectionPart> = table.without_unknown_columns().part().into_iter().collect();
    parts.extend(latency::tables(result, Workload::Contention).into_iter().map(|part| match part {
        SectionPart::Table(table) => SectionPart::Table(Table { detail: true, ..table }),
        other => other,
    }));
    parts
}

/// Under contention, a poller detects the message at once or after its core is returned. Its latencies are then
/// bimodal, so the mean comes first.
fn contention_row(result: &RunResult, contention: &ContentionResult) -> TableRow {
    let threads =
        if contention.shared_core { "both on one core".to_owned() } else { contention.busy_threads.to_string() };
    let p90 = |wait: WaitMode| {
        let is_same = |cell: &&Cell| {
            let conditions = &cell.conditions;
            (cell.host_wait, cell.guest_wait) == (wait, wait)
                && !conditions.aa_repeat
                && !conditions.full_stamps
                && (conditions.busy_threads.unwrap_or(0), conditions.shared_core, conditions.gap_ns)
                    == (contention.busy_threads, contention.shared_core, contention.gap_ns)
        };
        let cell = cell_label::cells_of(result, Workload::Contention).find(is_same);
        Value::ns(cell.and_then(|cell| cell.latencies()?.ns.p90))
    };
    let values = vec![
        Value::word(threads),
        contention.gap_ns.map_or_else(|| Value::word("none"), Value::ns),
        Value::ns(contention.poll_mean_ns),
        Value::ns(contention.irq_mean_ns),
        Value::word(verdict::lower_mean(&result.comparisons, contention)),
        Value::ns(contention.poll_p50_ns),
        Value::ns(contention.irq_p50_ns),
        Value::word(verdict::lower_p50(&result.comparisons, contention)),
        p90(WaitMode::Poll),
        p90(WaitMode::Irq),
    ];
    TableRow { mode: None, values }
}
