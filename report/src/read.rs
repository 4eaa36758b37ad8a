//! Reads what the initiator left in a run's folder. A run may have been killed, so a last line that was cut off is
//! dropped and said; anything else that makes no sense is an error with its file and line.

use std::fs;
use std::path::Path;

use crate::error::ReportError;
use crate::measured::Measured;
use crate::result::Warning;
use crate::samples::Row;

/// The name of the blocks' file in a run's folder.
pub const MEASURED_FILE: &str = "measured.json";
/// The name of the operations' file in a run's folder.
pub const SAMPLES_FILE: &str = "samples.csv";

/// Reads `measured.json`.
pub fn read_measured(path: &Path) -> Result<Measured, ReportError> {
    serde_json::from_slice(&read(path)?).map_err(ReportError::json(path))
}

/// Reads `samples.csv`. An empty file has no rows. The warning says that the last line was cut off.
pub fn read_samples(path: &Path) -> Result<(Vec<Row>, Option<Warning>), ReportError> {
    let text = read(path)?;
    // A cut number is a valid smaller number, so that a line without its end is never taken for a row.
    let whole = text.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
    let mut reader = csv::Reader::from_reader(&text[..whole]);
    let rows = reader.deserialize().collect::<Result<Vec<Row>, csv::Error>>().map_err(|source| ReportError::Row {
        path: path.to_owned(),
        line: source.position().map_or(1, csv::Position::line),
        source,
    })?;
    let cut_off = (whole < text.len()).then(|| Warning {
        message: format!("the last line of {SAMPLES_FILE} was cut off and is left out; {} rows remain", rows.len()),
        cure: "run again: the initiator was stopped while it wrote".to_owned(),
    });
    Ok((rows, cut_off))
}

fn read(path: &Path) -> Result<Vec<u8>, ReportError> {
    fs::read(path).map_err(|source| ReportError::Read { path: path.to_owned(), source })
}
