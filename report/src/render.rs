//! From what a run left in its folder to everything that is made of it.

use std::io;
use std::path::Path;

use serde::Serialize;

use crate::environment::Environment;
use crate::error::ReportError;
use crate::plots::Plot;
use crate::result::{RunResult, Warning};
use crate::run::Run;
use crate::{evaluate, exports, page, places, plots, read, text_report};
use bench_model::journal;
use bench_model::raw::RawRun;
use bench_model::samples::Row;

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
    measured: RawRun,
    (rows, cut_off): (Vec<Row>, Option<Warning>),
) -> Result<(RunResult, Run), ReportError> {
    let run = Run::new(measured, rows);
    let (result, plots) = evaluated(environment, config, &run, cut_off);
    write_files(dir, &run, &result, plots)?;
    Ok((result, run))
}

/// A run that ended early, rendered as far as it came.
#[derive(Debug)]
pub struct Ended {
    /// The document.
    pub result: RunResult,
    /// Why its files could not be written, for instance because the disk is full. The measurements stay as they are.
    pub unwritten: Option<ReportError>,
}

/// Renders a run that ended early: with the blocks that were finished, of which there may be none, and with `reason` as
/// the cause. The initiator's own reason may be less exact: it only knows that it was stopped.
pub fn render_ended(
    dir: &Path,
    environment: Environment,
    config: &impl Serialize,
    reason: &str,
) -> Result<Ended, ReportError> {
    places::look(dir)?;
    let measured = read::read_finished_blocks(dir)?.unwrap_or_else(journal::nothing);
    let measured = RawRun { aborted: Some(reason.to_owned()), ..measured };
    let (rows, cut_off) = read::read_samples_if_there(&dir.join(read::SAMPLES_FILE))?;
    let config = serde_json::to_value(config).map_err(ReportError::Config)?;
    let run = Run::new(measured, rows);
    let (result, plots) = evaluated(environment, config, &run, cut_off);
    let document = |out: &mut dyn io::Write| serde_json::to_writer_pretty(out, run.measured()).map_err(io::Error::from);
    let noted = exports::replace(&dir.join(read::MEASURED_FILE), document);
    let written = noted.and_then(|()| write_files(dir, &run, &result, plots));
    Ok(Ended { result, unwritten: written.err() })
}

fn evaluated(
    environment: Environment,
    config: serde_json::Value,
    run: &Run,
    cut_off: Option<Warning>,
) -> (RunResult, Vec<Plot>) {
    let result = evaluate::evaluate(environment, config, run, cut_off);
    let plots = plots::plots(&result, run);
    (result, plots)
}

fn write_files(dir: &Path, run: &Run, result: &RunResult, plots: Vec<Plot>) -> Result<(), ReportError> {
    plots::write_into(dir, &plots)?;
    exports::hgrm::write_all(dir, run)?;
    for export in exports::all() {
        exports::write_into(dir, export, result, run)?;
    }
    exports::write_into(dir, &text_report::TextReport::of(dir), result, run)?;
    // Last, because it links to what is there.
    exports::write_into(dir, &page::Page::of(dir, plots), result, run)
}
