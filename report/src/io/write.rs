//! Writes files atomically: to a temporary name, then renamed.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::error::ReportError;

/// Writes to `PATH.partial` and renames it.
pub(crate) fn replace(path: &Path, content: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), ReportError> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    write_through(&partial, content).and_then(|()| fs::rename(&partial, path)).map_err(|source| {
        // The first error is the one to report.
        let _ = fs::remove_file(&partial);
        ReportError::Write { path: path.to_owned(), source }
    })
}

/// Syncs before the rename: a rename may survive a crash that the content does not.
fn write_through(path: &Path, content: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    // Removes a leftover, or a link that would lead the content elsewhere.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut out = BufWriter::new(File::create_new(path)?);
    content(&mut out)?;
    out.into_inner()?.sync_all()
}
