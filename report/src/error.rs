//! What can go wrong between a run's folder and its result.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Why a run's folder cannot be turned into a result. The text names the file; the cause is the source.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReportError {
    /// A file that the initiator should have left cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A JSON file is not what its name says.
    #[error("{}, line {line}: not what this version writes there", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The cause.
        source: serde_json::Error,
    },
    /// A line of `samples.csv` is not a row.
    #[error("{}, line {line}: not a row of samples", path.display())]
    Row {
        /// The file.
        path: PathBuf,
        /// The line, from 1; the header is line 1.
        line: u64,
        /// The cause.
        source: csv::Error,
    },
    /// A `result.json` of a version that this one does not know.
    #[error("{}: schema version {found}, and this program knows version {known}; render it with the version that wrote it", path.display())]
    Schema {
        /// The file.
        path: PathBuf,
        /// What it says of itself.
        found: u32,
        /// What this program reads.
        known: u32,
    },
    /// The configuration that was handed in has no JSON form.
    #[error("the run's configuration has no JSON form")]
    Config(#[source] serde_json::Error),
    /// A file of the result cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

impl ReportError {
    /// For `map_err` on a JSON file.
    pub(crate) fn json(path: &Path) -> impl FnOnce(serde_json::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Json { path, line: source.line(), source }
    }
}
