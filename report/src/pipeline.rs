//! Reads a run's directory, evaluates it and writes every output: after a run, after an interrupted run, and again from
//! the raw data of a directory.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserializer as _, Serialize};
use serde_json::Value;

use bench_model::raw::RawRun;
use bench_model::samples::{COLUMNS, Row};

use crate::evaluate::evaluate;
use crate::io::error::ReportError;
use crate::io::file_names::{
    DAMAGED_RESULT_FILE, HTML_FILE, MEASURED_FILE, PLAN_FILE, RESULT_FILE, SAMPLES_FILE, TEXT_FILE,
};
use crate::io::read::{self, exists, read_result};
use crate::io::run::Run;
use crate::io::write::replace;
use crate::paths::check_paths;
use crate::render::report_doc::{ReportDoc, RunFiles};
use crate::render::{export, html, plots, text};
use crate::result::{Environment, RunResult, SCHEMA_VERSION, Warning};

/// Reads the initiator's files in `dir`, evaluates them, writes every output and returns the result. The same input
/// gives the same files. An interrupted run is rendered up to its last block.
pub fn render(dir: &Path, environment: Environment, config: &impl Serialize) -> Result<RunResult, ReportError> {
    check_paths(dir)?;
    let measured = read::read_measured(&dir.join(MEASURED_FILE))?;
    let samples = read::read_samples(&dir.join(SAMPLES_FILE))?;
    let config = serde_json::to_value(config).map_err(ReportError::Config)?;
    let (result, run) = evaluated(environment, config, measured, samples);
    write_files(dir, &result, &run)?;
    Ok(result)
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
    let samples = read::read_samples_if_there(&dir.join(SAMPLES_FILE))?;
    let config = serde_json::to_value(config).map_err(ReportError::Config)?;
    let (result, run) = evaluated(environment, config, measured, samples);
    let document = |out: &mut dyn io::Write| serde_json::to_writer_pretty(out, run.measured()).map_err(io::Error::from);
    let noted = replace(&dir.join(MEASURED_FILE), document);
    let unwritten = noted.and_then(|()| write_files(dir, &result, &run)).err();
    Ok(Ended { result, unwritten })
}

/// A directory rendered again.
#[derive(Debug, Clone)]
pub struct Rerendered {
    /// The document.
    pub result: RunResult,
    /// Its raw data.
    pub run: Run,
    /// A repaired `result.json`. Not part of the result: an undamaged directory must give the same one.
    pub repaired: Option<Warning>,
}

/// Renders the run in `dir` again: the same input gives the same files. Environment and configuration are those in
/// `result.json`, not those of this machine.
///
/// If `result.json` is missing, the environment is unknown. If `measured.json` is missing, the finished blocks of
/// `measured.jsonl` are rendered. A damaged `result.json` is written again with the environment and configuration that
/// precede the damage; the damaged file is kept.
pub fn rerender(dir: &Path) -> Result<Rerendered, ReportError> {
    if !dir.is_dir() {
        return Err(ReportError::NoFolder { path: dir.to_owned() });
    }
    if ![MEASURED_FILE, PLAN_FILE].into_iter().any(|name| dir.join(name).is_file()) {
        return Err(ReportError::NotARun { path: dir.to_owned() });
    }
    check_paths(dir)?;
    let (environment, config, repaired) = recorded(dir)?;
    let measured = read::read_finished_blocks(dir)?.unwrap_or_else(nothing_measured);
    let samples = read::read_samples_if_there(&dir.join(SAMPLES_FILE))?;
    ensure_header(&dir.join(SAMPLES_FILE))?;
    if repaired.is_some() {
        keep_damaged_copy(&dir.join(RESULT_FILE), &dir.join(DAMAGED_RESULT_FILE))?;
    }
    let (result, run) = evaluated(environment, config, measured, samples);
    write_files(dir, &result, &run)?;
    Ok(Rerendered { result, run, repaired })
}

fn evaluated(
    environment: Environment,
    config: Value,
    measured: RawRun,
    (rows, cut_off): (Vec<Row>, Option<Warning>),
) -> (RunResult, Run) {
    let run = Run::new(measured, rows);
    (evaluate(environment, config, &run, cut_off), run)
}

fn write_files(dir: &Path, result: &RunResult, run: &Run) -> Result<(), ReportError> {
    let plots = plots::plots(result, run);
    plots::write_into(dir, &plots)?;
    export::write_all(dir, result, run)?;
    let doc = ReportDoc::new(result, run, &RunFiles::scan(dir));
    replace(&dir.join(TEXT_FILE), |out| out.write_all(text::short(&doc).as_bytes()))?;
    // Last: the page links to the other files.
    let page = html::page(&doc, &plots, &RunFiles::scan(dir)).into_string();
    replace(&dir.join(HTML_FILE), |out| out.write_all(page.as_bytes()))
}

/// Writes the header into an empty table, which earlier versions wrote: other programs need the columns.
fn ensure_header(samples: &Path) -> Result<(), ReportError> {
    if !samples.symlink_metadata().is_ok_and(|metadata| metadata.is_file() && metadata.len() == 0) {
        return Ok(());
    }
    replace(samples, |out| writeln!(out, "{}", COLUMNS.join(",")))
}

/// Keeps the damaged document under a second name. A hard link: permissions stay the same, and no symbolic link is
/// followed.
fn keep_damaged_copy(damaged: &Path, kept: &Path) -> Result<(), ReportError> {
    let failed = |source| ReportError::Write { path: kept.to_owned(), source };
    match fs::remove_file(kept) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    fs::hard_link(damaged, kept).map_err(failed)
}

/// The fields of `result.json` that raw data cannot reproduce. `None`: not read before the damage.
#[derive(Default)]
struct Recorded {
    schema_version: u32,
    environment: Option<Environment>,
    config: Option<Value>,
}

/// Reads field by field: a damaged document yields the fields before the damage.
impl<'de> Visitor<'de> for &mut Recorded {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a result document")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        while let Some(name) = fields.next_key::<String>()? {
            match name.as_str() {
                "schema_version" => self.schema_version = fields.next_value()?,
                "environment" => self.environment = Some(fields.next_value()?),
                "config" => self.config = Some(fields.next_value()?),
                _ => drop(fields.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

/// Reads environment and configuration, with a warning if the document is damaged.
fn recorded(dir: &Path) -> Result<(Environment, Value, Option<Warning>), ReportError> {
    let path = dir.join(RESULT_FILE);
    if !exists(&path) {
        return Ok((Environment::default(), Value::Null, None));
    }
    let error = match read_result(dir) {
        Ok(RunResult { environment, config, .. }) => return Ok((environment, config, None)),
        Err(error) => error,
    };
    let ReportError::Json { line, byte, .. } = error else { return Err(error) };
    let mut recorded = Recorded::default();
    // The error was handled above; only the fields before the damage are needed here.
    let _ = serde_json::Deserializer::from_slice(&read::read_document(&path)?).deserialize_map(&mut recorded);
    if ![0, SCHEMA_VERSION].contains(&recorded.schema_version) {
        return Err(ReportError::Schema { path, found: recorded.schema_version, known: SCHEMA_VERSION });
    }
    let kept = match (&recorded.environment, &recorded.config) {
        (Some(_), Some(_)) => "environment and configuration were kept",
        (Some(_), None) => "the environment was kept, the configuration is lost",
        (None, _) => "environment and configuration are lost",
    };
    let message = format!("{} was damaged at line {line}, byte {byte} and was written again: {kept}", path.display());
    let hint = format!(
        "the damaged file is kept as {DAMAGED_RESULT_FILE}; if you have an intact copy, put it in its place and render again"
    );
    let Recorded { environment, config, .. } = recorded;
    Ok((environment.unwrap_or_default(), config.unwrap_or_default(), Some(Warning { message, hint })))
}

/// The raw run if the initiator was killed before it wrote one.
fn nothing_measured() -> RawRun {
    let reason = format!("the initiator was killed before it wrote {MEASURED_FILE}; run again");
    RawRun { aborted: Some(reason), ..RawRun::default() }
}
