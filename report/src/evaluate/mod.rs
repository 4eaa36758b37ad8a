//! Evaluates a run into its result. Pure: no file access.

use crate::io::run::Run;
use crate::result::environment::Environment;
use crate::result::{RunResult, SCHEMA_VERSION, Warning};

mod cells;
pub mod checks;
pub mod compare_runs;
mod cost;
pub(crate) mod findings;
mod mode_comparison;
mod open_loop;
mod ratio;
pub mod warnings;

/// Evaluates. `on_reading` are warnings from reading the files.
#[must_use]
pub fn evaluate(
    environment: Environment,
    config: serde_json::Value,
    run: &Run,
    on_reading: impl IntoIterator<Item = Warning>,
) -> RunResult {
    let environment = environment.completed_by(run.measured());
    let cells = cells::cells(run, environment.driver.as_deref());
    let comparisons = mode_comparison::comparisons(&cells);
    let cells: Vec<_> = cells.into_iter().map(|measured| measured.cell).collect();
    let measured = run.measured();
    RunResult {
        schema_version: SCHEMA_VERSION,
        self_checks: checks::all(run, &environment),
        warnings: on_reading.into_iter().chain(warnings::all(run, &environment, &config)).collect(),
        findings: findings::findings(&cells, &comparisons, &measured.ceilings, &config),
        comparisons,
        ceilings: measured.ceilings.clone(),
        overhead: measured.overhead,
        environment,
        config,
        cells,
    }
}
