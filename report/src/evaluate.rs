//! From what was measured to the result document. Pure: reads and writes no files.

use crate::environment::Environment;
use crate::result::{RunResult, SCHEMA_VERSION, Warning};
use crate::run::Run;
use crate::{cells, checks, compare, warnings};

/// Makes the document. `config` is what was asked for; `on_reading` are the warnings that reading the files gave.
#[must_use]
pub fn evaluate(
    environment: Environment,
    config: serde_json::Value,
    run: &Run,
    on_reading: impl IntoIterator<Item = Warning>,
) -> RunResult {
    let environment = environment.completed_by(run.measured());
    let cells = cells::cells(run, environment.driver.as_deref());
    RunResult {
        schema_version: SCHEMA_VERSION,
        comparisons: compare::comparisons(&cells),
        self_checks: checks::all(run),
        warnings: on_reading.into_iter().chain(warnings::of(run)).collect(),
        environment,
        config,
        cells,
    }
}
