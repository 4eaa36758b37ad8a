//! One table for several runs with different guest drivers.

use crate::render::report_doc::overview::{self, has_row};
use crate::render::report_doc::table::{Column, Table};
use crate::render::report_doc::value::Value;
use crate::render::text_table::{compact, lines};
use crate::result::{Cell, CheckOutcome, RunResult};
use bench_model::ASKED_FOR;

/// The columns.
const COLUMNS: [&str; 12] =
    ["driver", "workload", "size", "mode", "n", "p50", "p90", "p99", "irqs", "fail", "host/op", "vcpu/op"];

const DRIVER: Column<Cell> = ("driver", "", |cell| Value::word(cell.driver.as_deref().unwrap_or("-")));

/// One row per driver and cell. Cells that differ only in the driver are adjacent.
#[must_use]
pub fn driver_table(results: &[RunResult]) -> String {
    let mut cells: Vec<&Cell> = results.iter().flat_map(|result| &result.cells).filter(|cell| has_row(cell)).collect();
    // Stable: drivers keep their order.
    cells.sort_by_key(|cell| (cell.workload, cell.size_bytes, cell.host_wait, cell.guest_wait));
    let table = Table::new("drivers", "", 4, &[&[DRIVER][..], &overview::COLUMNS].concat(), cells);
    let mut lines = lines(&compact(table.select(&COLUMNS)));
    for result in results {
        if let Some((driver, reason)) =
            result.environment.driver.as_ref().zip(result.environment.driver_reason.as_ref())
            && reason != ASKED_FOR
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
