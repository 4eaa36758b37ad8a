//! What an incomplete run lacks, and why.

use crate::io::run::Run;
use crate::result::RunResult;
use bench_model::WaitMode;
use bench_model::units::plural;

use super::run_files::RunFiles;

/// The most important first. Empty for a complete run.
pub(super) fn incomplete(result: &RunResult, run: &Run, files: &RunFiles) -> Vec<String> {
    let measured = run.measured();
    let done = measured.blocks.len();
    let mut missing = Vec::new();
    if let Some(reason) = &measured.aborted {
        missing.push(format!("the run ended early: {reason}"));
    }
    if let Some(planned) = files.planned_blocks.filter(|&planned| planned > done) {
        missing.push(format!(
            "{} of {} were measured; the results cover only these",
            done,
            plural(planned as u64, "planned block")
        ));
    } else if measured.blocks.is_empty() {
        missing.push("no block was finished, so there are no results".to_owned());
    }
    if result.environment.accel.is_empty() {
        missing.push(
            "the environment was not recorded: the run ended before its result was written, or that file was damaged. \
             Whether the guest was emulated is unknown"
                .to_owned(),
        );
    }
    let without_rows = run.blocks().filter(|block| (block.rows.len() as u64) < block.measured.rows()).count() as u64;
    if without_rows > 0 {
        missing.push(format!(
            "samples.csv lacks rows of {}; they are excluded from the results",
            plural(without_rows, "measured block")
        ));
    }
    let stray = run.unfinished_rows().count() as u64;
    if stray > 0 {
        missing.push(format!("{} of an unfinished block are excluded from the results", plural(stray, "row")));
    }
    missing.extend(modes(result));
    missing
}

/// A single wait mode lacks a baseline.
fn modes(result: &RunResult) -> Option<String> {
    let measured = |wait: WaitMode| result.cells.iter().any(|cell| (cell.host_wait, cell.guest_wait) == (wait, wait));
    let first = result.cells.first()?;
    if result.cells.iter().any(|cell| cell.mode != first.mode) {
        let others = result.cells.iter().any(|cell| cell.host_wait.blocks() || cell.guest_wait.blocks());
        return (others && !measured(WaitMode::Poll))
            .then(|| "poll, the baseline of all comparisons, was not measured".to_owned());
    }
    Some(format!(
        "only {} was measured, so there is no comparison; cargo xtask bench measures poll and irq",
        first.mode
    ))
}
