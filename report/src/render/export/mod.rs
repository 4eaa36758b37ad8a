//! Exports, one per file format. Each is written to a temporary name and renamed, so readers never see a partial file.

mod bandwidth_csv;
mod cpu_csv;
mod hdr;
mod hdr_log;
mod hdr_percentiles;
mod latency_csv;

use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;

use crate::io::error::ReportError;
use crate::io::file_names::RESULT_FILE;
use crate::io::run::Run;
use crate::io::write::replace;
use crate::result::RunResult;

/// Writes the content of a file.
type Export = fn(&RunResult, &Run, &mut dyn Write) -> io::Result<()>;

/// The name of each file in the run's directory, with its exporter. The document is written last: if it exists, so do the
/// others.
const ALL: [(&str, Export); 5] = [
    ("latency_results.csv", latency_csv::write),
    ("bandwidth_results.csv", bandwidth_csv::write),
    ("cpu.csv", cpu_csv::write),
    ("run.hlog", hdr_log::write),
    (RESULT_FILE, result_json),
];

/// The files with fixed names.
pub(crate) fn file_names() -> impl Iterator<Item = &'static str> {
    ALL.into_iter().map(|(name, _)| name)
}

/// Writes every file into the directory.
pub(crate) fn write_all(dir: &Path, result: &RunResult, run: &Run) -> Result<(), ReportError> {
    hdr_percentiles::write_all(dir, run)?;
    ALL.into_iter().try_for_each(|(name, export)| replace(&dir.join(name), |out| export(result, run, out)))
}

/// `result.json`: the document, indented for human readers.
fn result_json(result: &RunResult, _run: &Run, out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, result)?;
    writeln!(out)
}

/// A writer of CSV rows, which has written the names of their fields: the CSV writer would omit them without rows.
fn csv_writer<T: Serialize + Default, W: Write>(mut out: W) -> io::Result<csv::Writer<W>> {
    let mut header = csv::Writer::from_writer(Vec::new());
    header.serialize(T::default())?;
    let header = header.into_inner().map_err(io::Error::other)?;
    out.write_all(header.split_inclusive(|&byte| byte == b'\n').next().unwrap_or_default())?;
    Ok(csv::WriterBuilder::new().has_headers(false).from_writer(out))
}
