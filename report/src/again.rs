//! A run's folder rendered again, from what the initiator left there: also where the run was cut off, as far as it came.

use std::path::Path;

use crate::document::folder::PLAN_FILE;
use crate::environment::Environment;
use crate::error::ReportError;
use crate::measured::{GuestFacts, Measured};
use crate::read;
use crate::read::{MEASURED_FILE, SAMPLES_FILE};
use crate::render::render_run;
use crate::result::{FILE_NAME, RunResult};

/// Renders the run in `dir` again: the same input gives the same files. The environment and the configuration are those
/// that `result.json` recorded, whatever the machine is that renders.
///
/// A run that was cut off before there was a `result.json` has no environment; one without `measured.json` has no
/// figures. Both are rendered as long as there is a plan or what was measured, and say what is missing.
pub fn render_again(dir: &Path) -> Result<RunResult, ReportError> {
    let there = |name: &str| dir.join(name).is_file();
    if !dir.is_dir() {
        return Err(ReportError::NoFolder { path: dir.to_owned() });
    }
    if ![MEASURED_FILE, PLAN_FILE].into_iter().any(there) {
        return Err(ReportError::NotARun { path: dir.to_owned() });
    }
    let (environment, config) = if there(FILE_NAME) {
        let recorded = RunResult::load(dir)?;
        (recorded.environment, recorded.config)
    } else {
        (Environment::default(), serde_json::Value::Null)
    };
    let measured =
        if there(MEASURED_FILE) { read::read_measured(&dir.join(MEASURED_FILE))? } else { nothing_measured() };
    let samples = if there(SAMPLES_FILE) { read::read_samples(&dir.join(SAMPLES_FILE))? } else { (Vec::new(), None) };
    render_run(dir, environment, config, measured, samples)
}

/// What is known of a run whose initiator was killed before it could write.
fn nothing_measured() -> Measured {
    Measured {
        guest: GuestFacts::default(),
        tsc_hz: 0.0,
        host_peer: 0,
        guest_peer: 0,
        spin_ns: None,
        perf_missing: None,
        memory_bytes: 0,
        ceilings: Vec::new(),
        overhead: None,
        blocks: Vec::new(),
        aborted: Some(format!("the initiator was killed before it could write {MEASURED_FILE}; run it again")),
    }
}
