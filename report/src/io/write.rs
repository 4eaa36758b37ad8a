//! Writes files so that a reader never sees half of one: under another name first, then renamed.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::error::ReportError;

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
