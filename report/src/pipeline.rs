//! Reads a run's folder, evaluates it and writes every output.

use std::io;
use std::path::Path;

use serde::Serialize;

use bench_model::raw::RawRun;
use bench_model::samples::Row;

use crate::evaluate::evaluate;
use crate::io::file_names::{MEASURED_FILE, SAMPLES_FILE};
use crate::io::write::replace;
use crate::io::{ReportError, Run, read};
use crate::paths::check_paths;
use crate::render::plots::{self, Plot};
use crate::render::{export, html, text};
use crate::result::{Environment, RunResult, Warning};

/// Reads the initiator's files in `dir`, evaluates them, writes every output and returns the result. The same input
/// gives the same files. An interrupted run is rendered up to its last block.
pub fn render(dir: &Path, environment: Environment, config: &impl Serialize) -> Result<RunResult, ReportError> {
    check_paths(dir)?;
    let measured = read::read_measured(&dir.join(MEASURED_FILE))?;
    let samples = read::read_samples(&dir.join(SAMPLES_FILE))?;
    let config = serde_json::to_value(config).map_err(ReportError::Config)?;
    write_report(dir, environment, config, measured, samples).map(|(result, _)| result)
}

/// Evaluates and writes.
pub(crate) fn write_report(
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

/// An interrupted run, rendered.
#[derive(Debug)]
pub struct Ended {
    /// The document.
    pub result: RunResult,
    /// Why its files could not be written, for instance a full disk. The measurements stay as they are.
    pub unwritten: Option<ReportError>,
}

/// Renders an interrupted run: its finished blocks, if any, with `reason` as the cause. The initiator's own reason may
/// be less exact: it knows only that it was stopped.
pub fn render_ended(
    dir: &Path,
    environment: Environment,
    config: &impl Serialize,
    reason: &str,
) -> Result<Ended, ReportError> {
    check_paths(dir)?;
    let measured = read::read_finished_blocks(dir)?.unwrap_or_default();
    let measured = RawRun { aborted: Some(reason.to_owned()), ..measured };
    let (rows, cut_off) = read::read_samples_if_there(&dir.join(SAMPLES_FILE))?;
    let config = serde_json::to_value(config).map_err(ReportError::Config)?;
    let run = Run::new(measured, rows);
    let (result, plots) = evaluated(environment, config, &run, cut_off);
    let document = |out: &mut dyn io::Write| serde_json::to_writer_pretty(out, run.measured()).map_err(io::Error::from);
    let noted = replace(&dir.join(MEASURED_FILE), document);
    let written = noted.and_then(|()| write_files(dir, &run, &result, plots));
    Ok(Ended { result, unwritten: written.err() })
}

fn evaluated(
    environment: Environment,
    config: serde_json::Value,
    run: &Run,
    cut_off: Option<Warning>,
) -> (RunResult, Vec<Plot>) {
    let result = evaluate(environment, config, run, cut_off);
    let plots = plots::plots(&result, run);
    (result, plots)
}

fn write_files(dir: &Path, run: &Run, result: &RunResult, plots: Vec<Plot>) -> Result<(), ReportError> {
    plots::write_into(dir, &plots)?;
    export::hdr_percentiles::write_all(dir, run)?;
    for export in export::all() {
        export::write_into(dir, export, result, run)?;
    }
    export::write_into(dir, &text::TextReport::new(dir), result, run)?;
    // Last: the page links to the other files.
    export::write_into(dir, &html::Page::new(dir, plots), result, run)
}
