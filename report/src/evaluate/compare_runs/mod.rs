//! Compares runs: the first is the baseline, the others are compared with it, cell by cell.
//!
//! 1. [`folder`]: a run's directory with its raw samples, or an error with a hint.
//! 2. [`environment`](mod@environment): how environment and configuration differ. Printed first: it may explain
//!    everything else.
//! 3. [`mod@cells`]: ratios with intervals from the raw samples, and outcomes by the noise of both runs.
//! 4. [`gate`]: whether a run is slower by more than a limit, for CI.
//!
//! Cells are computed from the raw samples, not read from the documents: runs rendered by different versions are
//! compared by the same rules.

pub mod cells;
pub mod environment;
pub mod folder;
pub mod gate;
mod p99;

use std::path::PathBuf;

use serde::Serialize;

pub use self::cells::CellDelta;
use self::cells::compare_cell;
pub use self::environment::{Difference, NotRecorded};
pub use self::folder::{FolderError, RunFolder};
pub use self::gate::{Gate, Limits};
pub use self::p99::P99Ratio;
use crate::evaluate::cells::{MeasuredCell, cells};
use crate::result::cell_key::CellKey;
use crate::result::{CheckOutcome, SelfCheck, Warning};

/// The version of the JSON form of [`RunComparison`].
pub const SCHEMA_VERSION: u32 = 2;

/// A comparison of two or more runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunComparison {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// The runs, the baseline first.
    pub runs: Vec<RunInfo>,
    /// Fields that differ.
    pub differences: Vec<Difference>,
    /// Fields that only some runs recorded.
    pub not_recorded: Vec<NotRecorded>,
    /// Each other run against the first.
    pub comparisons: Vec<RunDelta>,
    /// The outcome of the limits; `None`: none were set.
    pub gate: Option<Gate>,
}

/// A run's identity and trustworthiness.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunInfo {
    /// The directory, as given.
    pub folder: PathBuf,
    /// When it began (RFC 3339).
    pub started: Option<String>,
    /// The project's revision.
    pub git_revision: Option<String>,
    /// The accelerator.
    pub accel: String,
    /// Failed self-checks. With one, no metric of the run is trustworthy.
    pub failed_checks: Vec<SelfCheck>,
    /// Warnings from reading its files.
    pub warnings: Vec<Warning>,
}

/// One run against the baseline.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunDelta {
    /// The index in [`RunComparison::runs`]; the baseline is 0.
    pub run: usize,
    /// Whether both have identical samples: a run against itself or a copy.
    pub identical: bool,
    /// Cells that both have.
    pub cells: Vec<CellDelta>,
    /// Cells that only the baseline has.
    pub only_in_baseline: Vec<CellKey>,
    /// Cells that only this run has.
    pub only_in_run: Vec<CellKey>,
}

/// Compares every run with the first one.
#[must_use]
pub fn compare(runs: &[RunFolder], limits: Option<&Limits>) -> RunComparison {
    let measured: Vec<Vec<MeasuredCell<'_>>> = runs.iter().map(|folder| cells(&folder.run, None)).collect();
    let against = |run: usize| {
        let (base, this) = (&measured[0], &measured[run]);
        let counterpart = |this: &MeasuredCell<'_>| base.iter().find(|base| base.blocks.key == this.blocks.key);
        let in_both = this.iter().filter_map(|this| Some((this, counterpart(this)?)));
        let cells: Vec<CellDelta> = in_both.map(|(this, base)| compare_cell(this, base)).collect();
        let only = |these: &[MeasuredCell<'_>], those: &[MeasuredCell<'_>]| -> Vec<CellKey> {
            let keys = these.iter().map(|cell| cell.blocks.key);
            keys.filter(|key| those.iter().all(|cell| cell.blocks.key != *key)).collect()
        };
        let (only_in_baseline, only_in_run) = (only(base, this), only(this, base));
        let nothing_else = only_in_baseline.is_empty() && only_in_run.is_empty();
        let identical = nothing_else && !cells.is_empty() && cells.iter().all(|cell| cell.identical);
        RunDelta { run, identical, cells, only_in_baseline, only_in_run }
    };
    let comparisons: Vec<RunDelta> = (1..runs.len()).map(against).collect();
    let heads: Vec<RunInfo> = runs.iter().map(head).collect();
    RunComparison {
        schema_version: SCHEMA_VERSION,
        gate: limits.map(|limits| Gate::evaluate(limits, &heads, &comparisons)),
        differences: environment::differences(runs),
        not_recorded: environment::not_recorded(runs),
        runs: heads,
        comparisons,
    }
}

fn head(folder: &RunFolder) -> RunInfo {
    let environment = &folder.result.environment;
    let failed = folder.result.self_checks.iter().filter(|check| check.pass == CheckOutcome::Fail);
    RunInfo {
        folder: folder.dir.clone(),
        started: environment.started.clone(),
        git_revision: environment.git_revision.clone(),
        accel: environment.accel.clone(),
        failed_checks: failed.cloned().collect(),
        warnings: folder.warning.iter().cloned().collect(),
    }
}
