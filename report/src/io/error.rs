//! Errors between a run's directory and its report.

use std::io;
use std::path::{Path, PathBuf};

use serde_json::error::Category;
use thiserror::Error;

/// Why a run's directory cannot be read or rendered. The text names the file; the source is the cause.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReportError {
    /// The path is not a directory.
    #[error("{} is not a directory; name the directory of a run, such as results/latest", path.display())]
    NoFolder {
        /// The given path.
        path: PathBuf,
    },
    /// The directory contains no file of a run.
    #[error("{} is not the directory of a run: it has neither measured.json nor plan.json; name one that cargo xtask bench made", path.display())]
    NotARun {
        /// The given path.
        path: PathBuf,
    },
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The file is not valid JSON, or not this document.
    #[error("{}, line {line}, byte {byte}: {}", path.display(), diagnosis(path, source.classify()))]
    Json {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// Byte offset of the error.
        byte: usize,
        /// The cause.
        source: serde_json::Error,
    },
    /// A line of `samples.csv` is not a row.
    #[error("{}, line {line}, byte {byte}: not a row of samples; copy the file again, run again, or delete that line", path.display())]
    Row {
        /// The file.
        path: PathBuf,
        /// The line, from 1; the header is line 1.
        line: u64,
        /// Byte offset of that line.
        byte: u64,
        /// The cause.
        source: csv::Error,
    },
    /// A required column is missing.
    #[error("{}, line 1: missing columns in the header: {missing}. Hint: copy the directory again", path.display())]
    Columns {
        /// The file.
        path: PathBuf,
        /// The columns' names.
        missing: String,
    },
    /// The path is not a regular file.
    #[error("{} is not a regular file; restore the file of the run, or run again", path.display())]
    NoFile {
        /// The path.
        path: PathBuf,
    },
    /// An output path holds something other than a regular file or directory. Rendering must not replace or follow it.
    #[error("{} is not {wanted}; refusing to replace it: move it away and render again", path.display())]
    NotRegularFile {
        /// The path.
        path: PathBuf,
        /// Expected kind.
        wanted: &'static str,
    },
    /// The file exceeds the size limit.
    #[error("{} has {bytes} bytes, the limit is {most}; restore the file of the run", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its length.
        bytes: u64,
        /// The limit.
        most: u64,
    },
    /// Two blocks have the same index, so rows cannot be assigned.
    #[error("{}: block {index} occurs twice; run again", path.display())]
    SameBlock {
        /// The file.
        path: PathBuf,
        /// The blocks' index.
        index: u32,
    },
    /// The schema version is not supported.
    #[error("{}: schema version {found} is not supported (this program reads version {known}); {}", path.display(), hint(*found, *known))]
    Schema {
        /// The file.
        path: PathBuf,
        /// The version in the file.
        found: u32,
        /// The version that this program reads.
        known: u32,
    },
    /// The configuration cannot be serialized.
    #[error("the configuration cannot be serialized")]
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

/// The hint for a document of another version.
fn hint(found: u32, known: u32) -> &'static str {
    if found > known {
        "written by a newer version: update this program"
    } else {
        "written by an older version: use that one, or run again"
    }
}

/// The kind of error and a hint.
fn diagnosis(path: &Path, category: Category) -> String {
    let what = match category {
        Category::Eof => "the file ends too early",
        Category::Syntax | Category::Io => "invalid JSON",
        Category::Data => "unexpected content",
    };
    let hint = match (path.file_name().and_then(|name| name.to_str()), category) {
        (Some(crate::io::file_names::RESULT_FILE), _) => "cargo xtask report writes it again from the raw data",
        (_, Category::Data) => "use the version that wrote it, or run again",
        _ => "copy it again from where the run was made, or run again",
    };
    format!("{what}; {hint}")
}

impl ReportError {
    /// Converts a JSON error, with its byte offset in `text`.
    pub(crate) fn json(path: &Path, text: &[u8], source: serde_json::Error) -> Self {
        let line_begins = text.split_inclusive(|&byte| byte == b'\n').take(source.line().saturating_sub(1));
        let byte = line_begins.map(<[u8]>::len).sum::<usize>() + source.column().saturating_sub(1);
        Self::Json { path: path.to_owned(), line: source.line(), byte: byte.min(text.len()), source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_error_names_line_and_byte() {
        let message = |text: &str| {
            let source = serde_json::from_str::<serde_json::Value>(text).expect_err("broken");
            ReportError::json(Path::new("measured.json"), text.as_bytes(), source).to_string()
        };
        assert!(message("{\n \"a\": nan}").starts_with("measured.json, line 2, byte 9: invalid JSON; copy it again"));
        assert!(message("{\n \"a\": [1,").starts_with("measured.json, line 2, byte 10: the file ends too early"));
    }
}
