//! The files that a run's folder gets, one exporter per format. Each is written beside its place and then moved there,
//! so that a reader never sees half of one.

mod bandwidth_csv;
mod cpu_csv;
pub(crate) mod hgrm;
mod histograms;
mod hlog;
mod latency_csv;
mod result_json;

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

pub use bandwidth_csv::BandwidthCsv;
pub use cpu_csv::CpuCsv;
pub use hlog::Hlog;
pub use latency_csv::LatencyCsv;
pub use result_json::ResultJson;

use crate::error::ReportError;
use crate::result::RunResult;
use crate::run::Run;

/// A file of the result.
pub trait Export {
    /// Its name in the run's folder.
    fn file_name(&self) -> &'static str;

    /// Writes its content.
    fn write(&self, result: &RunResult, run: &Run, out: &mut dyn Write) -> io::Result<()>;
}

/// Every exporter. The document comes last: where it is, the others are.
#[must_use]
pub fn all() -> [&'static dyn Export; 5] {
    [&LatencyCsv, &BandwidthCsv, &CpuCsv, &Hlog, &ResultJson]
}

/// Writes one file into the folder.
pub fn write_into(dir: &Path, export: &dyn Export, result: &RunResult, run: &Run) -> Result<(), ReportError> {
    replace(&dir.join(export.file_name()), |out| export.write(result, run, out))
}

/// Writes a file beside its place and moves it there.
pub(crate) fn replace(path: &Path, content: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), ReportError> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    write_through(&partial, content).and_then(|()| fs::rename(&partial, path)).map_err(|source| {
        // Best effort: the first error is the one to tell.
        let _ = fs::remove_file(&partial);
        ReportError::Write { path: path.to_owned(), source }
    })
}

/// Down to the disk, because a rename may otherwise survive a crash that the content does not.
fn write_through(path: &Path, content: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    // A left-over, or a link that would lead the content elsewhere.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut out = BufWriter::new(File::create_new(path)?);
    content(&mut out)?;
    out.into_inner()?.sync_all()
}
