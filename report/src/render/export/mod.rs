//! Exports, one per file format. Each is written to a temporary name and renamed, so readers never see a partial file.

mod bandwidth_csv;
mod cpu_csv;
mod hdr;
mod hdr_log;
pub(crate) mod hdr_percentiles;
mod latency_csv;
mod result_json;

use std::io::{self, Write};
use std::path::Path;

pub use bandwidth_csv::BandwidthCsv;
pub use cpu_csv::CpuCsv;
pub use hdr_log::Hlog;
pub use latency_csv::LatencyCsv;
pub use result_json::ResultJson;

use crate::io::error::ReportError;
use crate::io::run::Run;
use crate::io::write::replace;
use crate::result::RunResult;

/// A file of the result.
pub trait Export {
    /// Its name in the run's folder.
    fn file_name(&self) -> &'static str;

    /// Writes its content.
    fn write(&self, result: &RunResult, run: &Run, out: &mut dyn Write) -> io::Result<()>;
}

/// Every exporter. The document is written last: if it exists, so do the others.
#[must_use]
pub fn all() -> [&'static dyn Export; 5] {
    [&LatencyCsv, &BandwidthCsv, &CpuCsv, &Hlog, &ResultJson]
}

/// Writes one file into the folder.
pub fn write_into(dir: &Path, export: &dyn Export, result: &RunResult, run: &Run) -> Result<(), ReportError> {
    replace(&dir.join(export.file_name()), |out| export.write(result, run, out))
}
