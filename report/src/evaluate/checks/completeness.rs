//! Checks that the run ended normally and its record is complete.

use std::collections::BTreeMap;

use super::{Outcome, not_applicable, outcome};
use crate::io::run::{Run, RunBlock};
use bench_model::Workload;
use bench_model::samples::Status;
use bench_model::units::{plural, thousands};

/// Every operation ended ok, including those of an unfinished block. Check 2 covers frames whose hash differs.
pub(super) fn every_operation_ok(run: &Run) -> Outcome {
    let operations = run.rows().len() as u64;
    if operations == 0 {
        return not_applicable("no operation was recorded");
    }
    let mut failures: BTreeMap<Status, u64> = BTreeMap::new();
    for row in run.rows().iter().filter(|row| !matches!(row.status, Status::Ok | Status::HashMismatch)) {
        *failures.entry(row.status).or_default() += 1;
    }
    let faults: Vec<String> = failures
        .iter()
        .map(|(status, &count)| {
            format!("{} of {} ended with {status}", thousands(count), plural(operations, "operation"))
        })
        .collect();
    outcome(&faults, format!("{}, none failed", plural(operations, "operation")))
}

/// The run was not interrupted, and each block has a row per planned operation.
pub(super) fn completed(run: &Run) -> Outcome {
    let mut faults = Vec::new();
    let (aborted, blocks) = (run.measured().aborted.as_ref(), &run.measured().blocks);
    // The first line is the cause; log lines may follow.
    faults.extend(aborted.map(|reason| reason.lines().next().unwrap_or_default().trim_end_matches(':').to_owned()));
    // A run may measure only the peak bandwidths.
    if aborted.is_none() && blocks.is_empty() && run.measured().ceilings.is_empty() {
        faults.push("no block was finished".to_owned());
    }
    faults.extend(run.blocks().filter_map(|block| fault_in_record(&block)));
    let stray = run.unfinished_rows().count() as u64;
    if stray > 0 {
        faults.push(format!("{} of an unfinished block", plural(stray, "row")));
    }
    let blocks = plural(run.measured().blocks.len() as u64, "block");
    outcome(&faults, format!("{blocks}, each with all of its rows"))
}

fn fault_in_record(block: &RunBlock<'_>) -> Option<String> {
    let (asked, operations, rows) = (block.plan(), block.measured.operations, block.rows.len() as u64);
    let few = if asked.limit_ms.is_some() { operations == 0 } else { operations != asked.count };
    if (few && asked.workload != Workload::Idle) || rows != block.measured.rows() {
        return Some(format!(
            "{}: {} asked for, {} measured, {} recorded",
            block.name(),
            plural(asked.count, "operation"),
            thousands(operations),
            thousands(rows)
        ));
    }
    let foreign = block.rows.iter().filter(|row| {
        (row.workload, row.host_wait, row.guest_wait, row.size_bytes)
            != (asked.workload, asked.host_wait, asked.guest_wait, asked.size_bytes)
    });
    let foreign = foreign.count() as u64;
    if foreign > 0 {
        return Some(format!("{}: {} of another kind", block.name(), plural(foreign, "row")));
    }
    let unstamped = unstamped(block);
    (unstamped > 0).then(|| format!("{}: {} without the guest's stamps", block.name(), plural(unstamped, "operation")))
}

/// Operations without guest stamps although the clock offset was known. Messages of open traffic have no such stamps.
fn unstamped(block: &RunBlock<'_>) -> u64 {
    let without = matches!(block.plan().workload, Workload::Storm | Workload::Stream | Workload::Idle);
    if without || !block.measured.clock.is_stable() {
        return 0;
    }
    block.ok_rows().filter(|row| row.g5_ns.is_none()).count() as u64
}
