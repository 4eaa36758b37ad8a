//! One table for several runs with different guest drivers.

use crate::render::report_doc::overview::cell_table;
use crate::render::report_doc::overview_rows::has_row;
use crate::render::text_table::{aligned, compact};
use crate::result::{Cell, CheckOutcome, RunResult};

/// The columns after the driver.
const COLUMNS: [&str; 11] =
    ["workload", "size", "mode", "n", "p50", "p90", "p99", "irqs", "fail", "host/op", "vcpu/op"];

/// The first numeric column.
const FIRST_NUMBER: usize = 4;

/// One row per driver and cell. Cells that differ only in the driver are adjacent.
#[must_use]
pub fn driver_table(results: &[RunResult]) -> String {
    let mut cells: Vec<&Cell> = results.iter().flat_map(|result| &result.cells).filter(|cell| has_row(cell)).collect();
    // Stable: drivers keep their order.
    cells.sort_by_key(|cell| (cell.workload, cell.size_bytes, cell.host_wait, cell.guest_wait));
    let table = cell_table(cells.iter().copied()).select(&COLUMNS);
    let rows = cells.iter().zip(&table.rows).map(|(cell, row)| {
        let driver = cell.driver.clone().unwrap_or_else(|| "-".to_owned());
        let keys = row.values.iter().take(table.keys).map(|value| value.text.clone());
        [driver].into_iter().chain(keys).chain(row.values.iter().skip(table.keys).map(compact)).collect()
    });
    let header: Vec<&str> = ["driver"].into_iter().chain(COLUMNS).collect();
    let mut lines = aligned(&header, rows, FIRST_NUMBER);
    for result in results {
        if let Some((driver, reason)) =
            result.environment.driver.as_ref().zip(result.environment.driver_reason.as_ref())
            && reason != "asked for"
        {
            lines.push(format!("{driver}: {reason}"));
        }
        let driver = result.environment.driver.as_deref().unwrap_or("unknown driver");
        let failed = result.self_checks.iter().filter(|check| check.pass == CheckOutcome::Fail);
        lines.extend(failed.map(|check| format!("{driver}: self-check {} failed: {}", check.id, check.detail)));
        let warnings = result.warnings.iter();
        lines.extend(warnings.map(|warning| format!("{driver}: warning: {}. Hint: {}", warning.message, warning.hint)));
    }
    lines.join("\n") + "\n"
}
