//! What a run cannot say, and why.

use crate::plan::Wait;
use crate::result::RunResult;
use crate::run::Run;
use crate::units::counted;

use super::folder::Folder;

/// In the order in which it matters. Empty for a whole run.
#[must_use]
pub fn list(result: &RunResult, run: &Run, folder: &Folder) -> Vec<String> {
    let measured = run.measured();
    let done = measured.blocks.len();
    let mut missing = Vec::new();
    if let Some(reason) = &measured.aborted {
        missing.push(format!("the run ended early: {reason}"));
    }
    if let Some(planned) = folder.planned_blocks.filter(|&planned| planned > done) {
        missing.push(format!(
            "{} of {} were measured; figures are of those alone",
            done,
            counted(planned as u64, "planned block")
        ));
    } else if measured.blocks.is_empty() {
        missing.push("no block was finished, so there is no figure".to_owned());
    }
    if result.environment.accel.is_empty() {
        missing.push(
            "the environment was not recorded: the run was cut off before its result was written, or that file was damaged. \
             Nothing says whether the guest was emulated"
                .to_owned(),
        );
    }
    let rowless = run.blocks().filter(|block| (block.rows.len() as u64) < block.measured.rows()).count() as u64;
    if rowless > 0 {
        missing.push(format!(
            "samples.csv lacks rows of {}; what it lacks is in no figure",
            counted(rowless, "measured block")
        ));
    }
    let stray = run.stray_rows().count() as u64;
    if stray > 0 {
        missing.push(format!("{} of a block that was not finished are in no figure", counted(stray, "row")));
    }
    missing.extend(modes(result));
    missing
}

/// A single way to wait has nothing to be compared with.
fn modes(result: &RunResult) -> Option<String> {
    let measured = |wait: Wait| result.cells.iter().any(|cell| (cell.host_wait, cell.guest_wait) == (wait, wait));
    let first = result.cells.first()?;
    if result.cells.iter().any(|cell| cell.mode != first.mode) {
        let others = result.cells.iter().any(|cell| cell.host_wait.blocks() || cell.guest_wait.blocks());
        return (others && !measured(Wait::Poll))
            .then(|| "poll was not measured, which the others are compared with".to_owned());
    }
    Some(format!(
        "{} was measured alone, so nothing is compared; cargo xtask bench measures poll and irq side by side",
        first.mode
    ))
}
