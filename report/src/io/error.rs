//! What can go wrong between a run's folder and its result.

use std::io;
use std::path::{Path, PathBuf};

use serde_json::error::Category;
use thiserror::Error;

/// Why a run's folder cannot be turned into a result. The text names the file; the cause is the source.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReportError {
    /// There is no such folder.
    #[error("{} is no folder; name that of a run, such as results/latest after a cargo xtask bench", path.display())]
    NoFolder {
        /// What was named.
        path: PathBuf,
    },
    /// A folder without anything that a run leaves.
    #[error("{} holds neither measured.json nor plan.json, so it is no run's folder; name one that cargo xtask bench made", path.display())]
    NotARun {
        /// What was named.
        path: PathBuf,
    },
    /// A file that the initiator should have left cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A JSON file is not what its name says.
    #[error("{}, line {line}, byte {byte}: {}", path.display(), diagnosis(path, source.classify()))]
    Json {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// Bytes before the place from which on it makes no sense.
        byte: usize,
        /// The cause.
        source: serde_json::Error,
    },
    /// A line of `samples.csv` is not a row.
    #[error("{}, line {line}, byte {byte}: not a row of samples; copy the file again, run again, or take that line out: the report then says what is missing", path.display())]
    Row {
        /// The file.
        path: PathBuf,
        /// The line, from 1; the header is line 1.
        line: u64,
        /// Bytes before that line.
        byte: u64,
        /// The cause.
        source: csv::Error,
    },
    /// A table without columns that every version has written.
    #[error("{}, line 1: the header has no column {missing}; this is no table of samples, or its header was lost: copy the folder again", path.display())]
    Columns {
        /// The file.
        path: PathBuf,
        /// The columns' names.
        missing: String,
    },
    /// A folder, a pipe or a device where a file should be.
    #[error("{} is no file; put back the one that the run left there, or run again", path.display())]
    NoFile {
        /// Where.
        path: PathBuf,
    },
    /// Something in the place of what is written, which may be somebody else's or lead elsewhere.
    #[error("{} is a link, a folder, a pipe or a device where a run has {wanted}; move it away, and render again", path.display())]
    NotRegularFile {
        /// Where.
        path: PathBuf,
        /// What should be there, or nothing.
        wanted: &'static str,
    },
    /// More than any run writes.
    #[error("{} has {bytes} bytes, and no run writes more than {most}; put back the file that the run left there", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its length.
        bytes: u64,
        /// The most that is read.
        most: u64,
    },
    /// Two blocks that claim the same rows.
    #[error("{}: block {index} is there twice, so that its rows belong to neither; run again", path.display())]
    SameBlock {
        /// The file.
        path: PathBuf,
        /// The blocks' index.
        index: u32,
    },
    /// A `result.json` of a version that this one does not know.
    #[error("{}: schema version {found}, and this program knows version {known}; {}", path.display(), hint(*found, *known))]
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

/// What to do about a document of another version.
fn hint(found: u32, known: u32) -> &'static str {
    if found > known {
        "a newer version wrote it: update this program"
    } else {
        "an older version wrote it: read it with that one, or run again"
    }
}

/// What is wrong with a JSON file, and what can be done.
fn diagnosis(path: &Path, category: Category) -> String {
    let what = match category {
        Category::Eof => "the file ends too early",
        Category::Syntax | Category::Io => "no JSON from there on",
        Category::Data => "not what this version writes there",
    };
    let hint = match (path.file_name().and_then(|name| name.to_str()), category) {
        (Some(crate::io::file_names::RESULT_FILE), _) => "cargo xtask report makes it again of the raw data beside it",
        (_, Category::Data) => "read it with the version that wrote it, or run again",
        _ => "copy it again from where the run was made, or run again",
    };
    format!("{what}; {hint}")
}

impl ReportError {
    /// Of a JSON file with this content.
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
    fn a_place_in_a_json_file_is_told_by_line_and_byte() {
        let told = |text: &str| {
            let source = serde_json::from_str::<serde_json::Value>(text).expect_err("broken");
            ReportError::json(Path::new("measured.json"), text.as_bytes(), source).to_string()
        };
        assert!(
            told("{\n \"a\": nan}").starts_with("measured.json, line 2, byte 9: no JSON from there on; copy it again")
        );
        assert!(told("{\n \"a\": [1,").starts_with("measured.json, line 2, byte 10: the file ends too early"));
    }
}
