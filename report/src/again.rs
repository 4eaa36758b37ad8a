//! A run's folder rendered again, from what the initiator left there: also where the run was cut off or a file is damaged,
//! as far as what is left goes.

use std::fs;
use std::io;
use std::path::Path;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use crate::document::folder::PLAN_FILE;
use crate::environment::Environment;
use crate::error::ReportError;
use crate::exports;
use crate::places::{self, DAMAGED};
use crate::read;
use crate::read::{MEASURED_FILE, SAMPLES_FILE};
use crate::render::render_run;
use crate::result::{FILE_NAME, RunResult, SCHEMA_VERSION, Warning};
use crate::run::Run;
use crate::salvage::whole_part;
use bench_model::journal;
use bench_model::raw::RawRun;
use bench_model::samples::COLUMNS;

/// A folder that was rendered again.
#[derive(Debug, Clone)]
pub struct Again {
    /// The document.
    pub result: RunResult,
    /// The raw data that it was made of.
    pub run: Run,
    /// What was repaired. Not in the document, which says no more of it than one that never was damaged.
    pub repaired: Option<Warning>,
}

/// Renders the run in `dir` again: the same input gives the same files. The environment and the configuration are those
/// that `result.json` recorded, whatever the machine is that renders.
///
/// A run that was cut off before there was a `result.json` has no environment; one whose initiator was killed has the
/// blocks that it had finished (`measured.jsonl`), or no figures. Both are rendered as long as there is a plan or what was measured, and say what is missing. A damaged
/// `result.json` is made again, with what it still says of environment and configuration, and kept beside the new one; of
/// a damaged `measured.json` the blocks before the damage are rendered.
pub fn render_again(dir: &Path) -> Result<Again, ReportError> {
    let there = |name: &str| dir.join(name).is_file();
    if !dir.is_dir() {
        return Err(ReportError::NoFolder { path: dir.to_owned() });
    }
    if ![MEASURED_FILE, PLAN_FILE].into_iter().any(there) {
        return Err(ReportError::NotARun { path: dir.to_owned() });
    }
    places::look(dir)?;
    let (recorded, repaired) = recorded(dir)?;
    let measured = read::read_finished_blocks(dir)?.unwrap_or_else(nothing_measured);
    let samples = read::read_samples_if_there(&dir.join(SAMPLES_FILE))?;
    give_header(&dir.join(SAMPLES_FILE))?;
    if repaired.is_some() {
        keep(&dir.join(FILE_NAME), &dir.join(DAMAGED))?;
    }
    let (result, run) = render_run(dir, recorded.environment, recorded.config, measured, samples)?;
    Ok(Again { result, run, repaired })
}

/// A table of no operations says at least what its columns would be: earlier versions left such a file empty, which is no
/// table to other programs.
fn give_header(samples: &Path) -> Result<(), ReportError> {
    if !samples.symlink_metadata().is_ok_and(|seen| seen.is_file() && seen.len() == 0) {
        return Ok(());
    }
    exports::replace(samples, |out| writeln!(out, "{}", COLUMNS.join(",")))
}

/// Gives the damaged document a second name before another one takes its first. It is the file itself, to be read by whoever
/// could read it before, and no link is followed to somebody else's.
fn keep(damaged: &Path, kept: &Path) -> Result<(), ReportError> {
    let failed = |source| ReportError::Write { path: kept.to_owned(), source };
    match fs::remove_file(kept) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    fs::hard_link(damaged, kept).map_err(failed)
}

/// Also what is no file and no longer leads to one: rendering must not take its place without a word.
fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// What cannot be made again of the raw data.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Recorded {
    schema_version: u32,
    environment: Environment,
    config: Value,
    /// What follows on the configuration: where it was reached, the others are whole.
    cells: Option<IgnoredAny>,
}

/// Reads it, if need be from a damaged document.
fn recorded(dir: &Path) -> Result<(Recorded, Option<Warning>), ReportError> {
    let path = dir.join(FILE_NAME);
    if !exists(&path) {
        return Ok((Recorded::default(), None));
    }
    let error = match RunResult::load(dir) {
        Ok(RunResult { schema_version, environment, config, .. }) => {
            return Ok((Recorded { schema_version, environment, config, cells: None }, None));
        }
        Err(error) => error,
    };
    let ReportError::Json { line, byte, .. } = error else { return Err(error) };
    let whole = whole_part(&read::read_document(&path)?, byte);
    let recorded: Recorded = serde_json::from_slice(&whole).unwrap_or_default();
    if ![0, SCHEMA_VERSION].contains(&recorded.schema_version) {
        return Err(ReportError::Schema { path, found: recorded.schema_version, known: SCHEMA_VERSION });
    }
    let kept = match (recorded.environment.accel.is_empty(), recorded.cells.is_some()) {
        (true, _) => "it no longer says on what was measured, which nothing else in the folder does",
        (false, true) => "environment and configuration were taken from it",
        (false, false) => "of environment and configuration was taken from it what is whole, and the rest is lost",
    };
    let message = format!("{} was damaged from line {line}, byte {byte} on and was made again: {kept}", path.display());
    let cure = format!(
        "the damaged file is kept as {DAMAGED}; if there is a whole copy, put it in its place and render again"
    );
    Ok((recorded, Some(Warning { message, cure })))
}

/// What is known of a run whose initiator was killed before it could write.
fn nothing_measured() -> RawRun {
    let reason = format!("the initiator was killed before it could write {MEASURED_FILE}; run it again");
    RawRun { aborted: Some(reason), ..journal::nothing() }
}
