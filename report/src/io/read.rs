//! Reads a run's files. A killed run may leave an incomplete last line, which is dropped with a warning. Any other
//! malformed content is an error with file and line. Size limits bound the memory that unexpected content can take.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::error::ReportError;
use super::file_names::{MEASURED_FILE, RESULT_FILE, SAMPLES_FILE};
use crate::result::{RunResult, SCHEMA_VERSION, Warning};
use bench_model::journal::{self, Journal};
use bench_model::raw::RawRun;
use bench_model::samples::{COLUMNS, Row};
use bench_model::units::plural;

/// Size limit of a JSON file, so a damaged file cannot exhaust the memory. A JSON file of a full run has about 1 MB.
const MAX_JSON: u64 = 64 << 20;
/// Size limit of `samples.csv`: about seven million operations. A full run writes a few hundred megabytes.
const MAX_SAMPLES: u64 = 1 << 30;
/// Length limit of a line: three times what all columns can take.
const MAX_LINE_BYTES: u64 = 2_048;

/// Columns that earlier versions did not write.
const LATER: [&str; 3] = ["due_ns", "corrected_ns", "handle_ns"];

/// Reads `measured.json`.
pub fn read_measured(path: &Path) -> Result<RawRun, ReportError> {
    checked(path, parsed(path, &read_document(path)?)?)
}

/// Reads the raw run: `measured.json`, or the finished blocks of `measured.jsonl` if the former is missing or damaged.
/// `None`: neither exists.
pub(crate) fn read_finished_blocks(dir: &Path) -> Result<Option<RawRun>, ReportError> {
    let (document, lines) = (dir.join(MEASURED_FILE), dir.join(journal::FILE_NAME));
    if exists(&document) {
        match read_measured(&document) {
            Err(ReportError::Json { .. }) if exists(&lines) => {}
            measured => return measured.map(Some),
        }
    }
    if !exists(&lines) {
        return Ok(None);
    }
    let Journal { mut measured, ended, damaged_from } = journal::replay(&read_document(&lines)?);
    if let Some(line) = damaged_from {
        let blocks = plural(measured.blocks.len() as u64, "block");
        measured.aborted = Some(format!("{} is damaged from line {line} on; {blocks} precede it", journal::FILE_NAME));
    } else if !ended {
        measured.aborted = Some(format!("the initiator ended before it could write {MEASURED_FILE}"));
    }
    checked(&lines, measured).map(Some)
}

/// Whether the path exists. A dangling link counts as existing: it must be an error, and must not be replaced silently.
pub(crate) fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// Reads `result.json`.
pub fn read_result(dir: &Path) -> Result<RunResult, ReportError> {
    let path = dir.join(RESULT_FILE);
    let text = read_document(&path)?;
    // The version first: it decides whether the rest can be read.
    let Version { schema_version: found } = parsed(&path, &text)?;
    if found != SCHEMA_VERSION {
        return Err(ReportError::Schema { path, found, known: SCHEMA_VERSION });
    }
    parsed(&path, &text)
}

#[derive(Deserialize)]
struct Version {
    schema_version: u32,
}

/// Reads `samples.csv`, or no rows if the initiator ended before it wrote the file.
pub(crate) fn read_samples_if_there(path: &Path) -> Result<(Vec<Row>, Option<Warning>), ReportError> {
    if exists(path) { read_samples(path) } else { Ok((Vec::new(), None)) }
}

/// Parses a JSON file.
pub(crate) fn parsed<T: DeserializeOwned>(path: &Path, text: &[u8]) -> Result<T, ReportError> {
    serde_json::from_slice(text).map_err(|source| ReportError::json(path, text, source))
}

fn checked(path: &Path, measured: RawRun) -> Result<RawRun, ReportError> {
    // Rows refer to their block by index.
    let mut indices = HashSet::new();
    match measured.blocks.iter().map(|block| block.block.index).find(|index| !indices.insert(*index)) {
        Some(index) => Err(ReportError::SameBlock { path: path.to_owned(), index }),
        None => Ok(measured),
    }
}

/// Reads `samples.csv`. An empty file gives no rows. The warning reports a truncated last line.
pub fn read_samples(path: &Path) -> Result<(Vec<Row>, Option<Warning>), ReportError> {
    let failed = |source| ReportError::Read { path: path.to_owned(), source };
    let (mut file, length) = open(path, MAX_SAMPLES)?;
    // A truncated number is a valid smaller number, so an incomplete line is never a row.
    let whole = end_of_last_line(&mut file, length).map_err(failed)?;
    file.rewind().map_err(failed)?;
    let lines = ShortLines { inner: file.take(whole), line: 1, length: 0 };
    // No field is quoted, and a stray quote must not swallow the lines after it.
    let mut reader = csv::ReaderBuilder::new().quoting(false).from_reader(lines);
    let wrong = |source: csv::Error| row_error(path, source);
    let header = reader.headers().map_err(wrong)?;
    let is_missing = |column: &&str| !LATER.contains(column) && !header.iter().any(|name| name == *column);
    let missing: Vec<&str> = COLUMNS.into_iter().filter(is_missing).collect();
    if whole > 0 && !missing.is_empty() {
        return Err(ReportError::Columns { path: path.to_owned(), missing: missing.join(", ") });
    }
    let rows = reader.deserialize().collect::<Result<Vec<Row>, csv::Error>>().map_err(wrong)?;
    let remain = rows.len();
    let message = format!("the last line of {SAMPLES_FILE} is incomplete and was ignored; {remain} rows remain");
    let hint = "run again: the initiator was stopped while writing";
    let cut_off = (whole < length).then(|| Warning::new(message, hint));
    Ok((rows, cut_off))
}

/// Reads a JSON file's content.
pub(crate) fn read_document(path: &Path) -> Result<Vec<u8>, ReportError> {
    let (file, _) = open(path, MAX_JSON)?;
    let mut content = Vec::new();
    // It may grow while it is read.
    let read = file.take(MAX_JSON).read_to_end(&mut content);
    read.map_err(|source| ReportError::Read { path: path.to_owned(), source })?;
    Ok(content)
}

/// Opens a regular file; its length. Opening a pipe would block, so the kind is checked first.
fn open(path: &Path, most: u64) -> Result<(File, u64), ReportError> {
    let failed = |source| ReportError::Read { path: path.to_owned(), source };
    let metadata = fs::metadata(path).map_err(failed)?;
    if !metadata.is_file() {
        return Err(ReportError::NoFile { path: path.to_owned() });
    }
    if metadata.len() > most {
        return Err(ReportError::TooLarge { path: path.to_owned(), bytes: metadata.len(), most });
    }
    Ok((File::open(path).map_err(failed)?, metadata.len()))
}

/// The end of the last complete line, or 0.
fn end_of_last_line(file: &mut File, length: u64) -> io::Result<u64> {
    let start = length.saturating_sub(MAX_LINE_BYTES + 1);
    file.seek(SeekFrom::Start(start))?;
    let mut tail = Vec::new();
    file.take(length - start).read_to_end(&mut tail)?;
    match tail.iter().rposition(|&byte| byte == b'\n') {
        Some(end) => Ok(start + end as u64 + 1),
        None if start == 0 => Ok(0),
        None => Err(too_long("the last line")),
    }
}

fn too_long(which: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("{which} is longer than {MAX_LINE_BYTES} bytes; run again, or copy the directory again"),
    )
}

/// A reader that fails at an overlong line before it is held in memory.
struct ShortLines<R> {
    inner: R,
    /// The line of the next byte, from 1.
    line: u64,
    /// Its bytes so far.
    length: u64,
}

impl<R: Read> Read for ShortLines<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        for part in buffer[..read].split_inclusive(|&byte| byte == b'\n') {
            self.length += part.len() as u64;
            if self.length > MAX_LINE_BYTES {
                return Err(too_long(&format!("line {}", self.line)));
            }
            if part.ends_with(b"\n") {
                self.line += 1;
                self.length = 0;
            }
        }
        Ok(read)
    }
}

fn row_error(path: &Path, error: csv::Error) -> ReportError {
    let path = path.to_owned();
    let (line, byte) = error.position().map_or((1, 0), |position| (position.line(), position.byte()));
    if !error.is_io_error() {
        return ReportError::Row { path, line, byte, source: error };
    }
    ReportError::Read { path, source: io::Error::from(error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_overlong_line_before_holding_it() {
        let mut lines = ShortLines { inner: io::repeat(b'x'), line: 1, length: 0 };
        let error = io::copy(&mut lines, &mut io::sink()).unwrap_err().to_string();
        assert!(error.starts_with("line 1 is longer"), "{error}");
        let mut lines = ShortLines { inner: io::Cursor::new("a\n".repeat(5_000)), line: 1, length: 0 };
        assert_eq!(io::copy(&mut lines, &mut io::sink()).unwrap(), 10_000);
    }
}
