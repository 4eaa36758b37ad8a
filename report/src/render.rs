//! From what a run left in its folder to everything that is made of it.

use std::path::Path;

use serde::Serialize;

use crate::environment::Environment;
use crate::error::ReportError;
use crate::measured::Measured;
use crate::result::{RunResult, Warning};
use crate::run::Run;
use crate::samples::Row;
use crate::{evaluate, exports, page, places, plots, read, text_report};

/// Reads the files of the initiator in `dir`, evaluates them, writes the exports and returns the document. Rendering a folder
/// again gives the same files. A run that ended early is rendered up to its last block.
pub fn render(dir: &Path, environment: Environment, config: &impl Serialize) -> Result<RunResult, ReportError> {
    places::look(dir)?;
    let measured = read::read_measured(&dir.join(read::MEASURED_FILE))?;
    let samples = read::read_samples(&dir.join(read::SAMPLES_FILE))?;
    let config = serde_json::to_value(config).map_err(ReportError::Config)?;
    render_run(dir, environment, config, measured, samples).map(|(result, _)| result)
}

/// From what was read to the files.
pub(crate) fn render_run(
    dir: &Path,
    environment: Environment,
    config: serde_json::Value,
    measured: Measured,
    (rows, cut_off): (Vec<Row>, Option<Warning>),
) -> Result<(RunResult, Run), ReportError> {
    let run = Run::new(measured, rows);
    let result = evaluate::evaluate(environment, config, &run, cut_off);
    let plots = plots::plots(&result, &run);
    plots::write_into(dir, &plots)?;
    exports::hgrm::write_all(dir, &run)?;
    for export in exports::all() {
        exports::write_into(dir, export, &result, &run)?;
    }
    exports::write_into(dir, &text_report::TextReport::of(dir), &result, &run)?;
    // Last, because it links to what is there.
    exports::write_into(dir, &page::Page::of(dir, plots), &result, &run)?;
    Ok((result, run))
}

/// Notes why a run ended early, in the words of whoever saw the cause: the initiator only knows that it was stopped.
pub fn note_end(dir: &Path, reason: &str) -> Result<(), ReportError> {
    let path = dir.join(read::MEASURED_FILE);
    let mut measured = read::read_measured(&path)?;
    measured.aborted = Some(reason.to_owned());
    exports::replace(&path, |out| serde_json::to_writer_pretty(out, &measured).map_err(std::io::Error::from))
}
