//! Several runs that differ in the guest's driver, in one table.

use crate::result::{Cell, CheckOutcome, RunResult};
use crate::stats::Summary;
use bench_model::units::size_name;
use bench_model::units::thousands;

use super::table::{aligned, time};

const COLUMNS: [&str; 12] =
    ["driver", "workload", "size", "mode", "n", "p50", "p90", "p99", "irqs", "fail", "host/op", "vcpu/op"];

/// The columns from which on there are numbers.
const FIRST_NUMBER: usize = 4;

/// The table, a row per driver and cell, cells of the same kind below each other.
#[must_use]
pub fn driver_table(results: &[RunResult]) -> String {
    let mut cells: Vec<&Cell> =
        results.iter().flat_map(|result| &result.cells).filter(|cell| super::has_row(cell)).collect();
    // Stable: drivers stay in the order in which they were asked for.
    cells.sort_by_key(|cell| (cell.workload, cell.size_bytes, cell.host_wait, cell.guest_wait));
    let mut lines = aligned(&COLUMNS, cells.into_iter().map(row), FIRST_NUMBER);
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

fn row(cell: &Cell) -> Vec<String> {
    let latency =
        |of: fn(&Summary) -> Option<u64>| time(cell.latencies().and_then(|all| of(all.ns)).map(|ns| ns as f64));
    vec![
        cell.driver.clone().unwrap_or_else(|| "-".to_owned()),
        cell.workload.to_string(),
        size_name(cell.size_bytes),
        cell.mode.clone(),
        cell.n.to_string(),
        latency(|latency| latency.p50),
        latency(|latency| latency.p90),
        latency(|latency| latency.p99),
        cell.counters.interrupts.map_or_else(|| "-".to_owned(), thousands),
        cell.failed().to_string(),
        time(cell.cpu.host_us_per_op.map(|us| us * 1e3)),
        time(cell.cpu.vcpu_us_per_op.map(|us| us * 1e3)),
    ]
}
