//! A run's directory for a comparison: the document for environment and configuration, the raw files for metrics.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use thiserror::Error;

use crate::evaluate::checks;
use crate::io::error::ReportError;
use crate::io::file_names::{MEASURED_FILE, RESULT_FILE, SAMPLES_FILE};
use crate::io::read::{parsed, read_document, read_measured, read_result, read_samples};
use crate::io::run::Run;
use crate::result::{CheckOutcome, RunResult, Warning};

/// A run that was read.
#[derive(Debug, Clone)]
pub struct RunFolder {
    /// The directory, as given.
    pub dir: PathBuf,
    /// The document: environment, configuration, self-checks.
    pub result: RunResult,
    /// The document as JSON: fields that an earlier version did not record are missing.
    pub document: Value,
    /// The blocks and their samples.
    pub run: Run,
    /// Whether the last line of the samples was incomplete.
    pub warning: Option<Warning>,
}

/// Why a directory cannot be compared, with a hint.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FolderError {
    /// The path does not exist.
    #[error("{}: no such directory; name the directory of a run, such as results/latest", .0.display())]
    Missing(PathBuf),
    /// A file, for instance the document itself.
    #[error("{}: this is a file; name the directory that it is in", .0.display())]
    NotAFolder(PathBuf),
    /// A directory of `bench --driver A,B`.
    #[error("{} holds several runs; name one of them: {}", dir.display(), shown(dir, names))]
    SeveralRuns {
        /// The directory.
        dir: PathBuf,
        /// The runs' directories in it.
        names: Vec<String>,
    },
    /// Raw files without a document.
    #[error("{} has no {RESULT_FILE}: its run ended early; run it again, or write one with `cargo xtask report {}`", .0.display(), .0.display())]
    Unfinished(PathBuf),
    /// Another directory.
    #[error("{} is not the directory of a run: it has no {RESULT_FILE}; name one that `cargo xtask bench` made, such as results/latest", .0.display())]
    NoRun(PathBuf),
    /// A file of the run cannot be read.
    #[error("{} cannot be compared; a comparison takes {RESULT_FILE}, {MEASURED_FILE} and {SAMPLES_FILE} as the run left them", dir.display())]
    Unreadable {
        /// The directory.
        dir: PathBuf,
        /// The file and the cause.
        source: ReportError,
    },
}

fn shown(dir: &Path, names: &[String]) -> String {
    names.iter().map(|name| dir.join(name).display().to_string()).collect::<Vec<_>>().join(", ")
}

impl FolderError {
    /// Whether the path is not the directory of a run: wrong usage rather than a broken run.
    #[must_use]
    pub fn is_wrong_name(&self) -> bool {
        match self {
            Self::Missing(_) | Self::NotAFolder(_) | Self::SeveralRuns { .. } | Self::NoRun(_) => true,
            Self::Unfinished(_) | Self::Unreadable { .. } => false,
        }
    }
}

impl RunFolder {
    /// Reads a run's directory.
    pub fn open(dir: &Path) -> Result<Self, FolderError> {
        check(dir)?;
        Self::read(dir).map_err(|source| FolderError::Unreadable { dir: dir.to_owned(), source })
    }

    fn read(dir: &Path) -> Result<Self, ReportError> {
        let mut result = read_result(dir)?;
        let path = dir.join(RESULT_FILE);
        let document = parsed(&path, &read_document(&path)?)?;
        let measured = read_measured(&dir.join(MEASURED_FILE))?;
        let (rows, warning) = read_samples(&dir.join(SAMPLES_FILE))?;
        let run = Run::new(measured, rows);
        // Metrics are computed from the raw files, so the checks apply to them.
        for again in checks::all(&run, &result.environment).into_iter().filter(|check| check.pass == CheckOutcome::Fail)
        {
            result.self_checks.retain(|recorded| recorded.id != again.id);
            result.self_checks.push(again);
        }
        result.self_checks.sort_by_key(|check| check.id);
        Ok(Self { dir: dir.to_owned(), result, document, run, warning })
    }
}

/// Whether the directory holds one run.
fn check(dir: &Path) -> Result<(), FolderError> {
    let owned = || dir.to_owned();
    if !dir.exists() {
        return Err(FolderError::Missing(owned()));
    }
    if !dir.is_dir() {
        return Err(FolderError::NotAFolder(owned()));
    }
    if dir.join(RESULT_FILE).exists() {
        return Ok(());
    }
    if dir.join(MEASURED_FILE).exists() {
        return Err(FolderError::Unfinished(owned()));
    }
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let runs = entries.filter(|entry| entry.path().join(RESULT_FILE).exists());
    let mut names: Vec<String> = runs.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    Err(if names.is_empty() { FolderError::NoRun(owned()) } else { FolderError::SeveralRuns { dir: owned(), names } })
}
