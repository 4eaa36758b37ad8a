//! A run's folder as a comparison takes it in: the document for what the run was, the raw files for its figures.

use std::fs;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::checks;
use crate::error::ReportError;
use crate::read::{MEASURED_FILE, SAMPLES_FILE, read_measured, read_samples};
use crate::result::{FILE_NAME, RunResult, Verdict, Warning};
use crate::run::Run;

/// A run that was read.
#[derive(Debug, Clone)]
pub struct RunFolder {
    /// The folder, as it was named.
    pub dir: PathBuf,
    /// The document: surroundings, configuration, self-checks.
    pub result: RunResult,
    /// The blocks and their samples.
    pub run: Run,
    /// That the samples' last line was cut off.
    pub warning: Option<Warning>,
}

/// Why a folder cannot be compared, and what to do.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FolderError {
    /// There is nothing of that name.
    #[error("{}: there is no such folder; name a run's folder, such as results/latest", .0.display())]
    Missing(PathBuf),
    /// A file, for instance the document itself.
    #[error("{}: this is a file; name the folder that it is in", .0.display())]
    NotAFolder(PathBuf),
    /// What `bench --driver A,B` makes.
    #[error("{} holds several runs; name one of them: {}", dir.display(), shown(dir, names))]
    SeveralRuns {
        /// The folder.
        dir: PathBuf,
        /// The runs' folders in it.
        names: Vec<String>,
    },
    /// Raw files without a document.
    #[error("{} has no {FILE_NAME}: its run ended before that was written; run it again", .0.display())]
    Unfinished(PathBuf),
    /// Some other folder.
    #[error("{} is no run's folder, for it has no {FILE_NAME}; name one that `cargo xtask bench` made, such as results/latest", .0.display())]
    NoRun(PathBuf),
    /// A file of the run cannot be read.
    #[error("{} cannot be compared; a comparison takes {FILE_NAME}, {MEASURED_FILE} and {SAMPLES_FILE} as the run left them", dir.display())]
    Unreadable {
        /// The folder.
        dir: PathBuf,
        /// Which file, and why.
        source: ReportError,
    },
}

fn shown(dir: &Path, names: &[String]) -> String {
    names.iter().map(|name| dir.join(name).display().to_string()).collect::<Vec<_>>().join(", ")
}

impl RunFolder {
    /// Reads a run's folder.
    pub fn open(dir: &Path) -> Result<Self, FolderError> {
        check(dir)?;
        Self::read(dir).map_err(|source| FolderError::Unreadable { dir: dir.to_owned(), source })
    }

    fn read(dir: &Path) -> Result<Self, ReportError> {
        let mut result = RunResult::load(dir)?;
        let measured = read_measured(&dir.join(MEASURED_FILE))?;
        let (rows, warning) = read_samples(&dir.join(SAMPLES_FILE))?;
        let run = Run::new(measured, rows);
        // The figures are made of the raw files, and so the files have to hold what the checks ask for.
        for again in checks::all(&run, &result.environment).into_iter().filter(|check| check.pass == Verdict::Fail) {
            result.self_checks.retain(|recorded| recorded.id != again.id);
            result.self_checks.push(again);
        }
        result.self_checks.sort_by_key(|check| check.id);
        Ok(Self { dir: dir.to_owned(), result, run, warning })
    }
}

/// Whether this is a folder of one run.
fn check(dir: &Path) -> Result<(), FolderError> {
    let owned = || dir.to_owned();
    if !dir.exists() {
        return Err(FolderError::Missing(owned()));
    }
    if !dir.is_dir() {
        return Err(FolderError::NotAFolder(owned()));
    }
    if dir.join(FILE_NAME).exists() {
        return Ok(());
    }
    if dir.join(MEASURED_FILE).exists() {
        return Err(FolderError::Unfinished(owned()));
    }
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let runs = entries.filter(|entry| entry.path().join(FILE_NAME).exists());
    let mut names: Vec<String> = runs.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    Err(if names.is_empty() { FolderError::NoRun(owned()) } else { FolderError::SeveralRuns { dir: owned(), names } })
}
