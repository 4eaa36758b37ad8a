//! Reads directories, replaces files, and adds paths to I/O errors.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context;

/// Adds action and path to an error.
pub(crate) trait PathContext<T> {
    /// `action` is read, write, create …
    fn at(self, action: &str, path: &Path) -> anyhow::Result<T>;
}

impl<T, E> PathContext<T> for Result<T, E>
where
    Self: Context<T, E>,
{
    fn at(self, action: &str, path: &Path) -> anyhow::Result<T> {
        self.with_context(|| format!("cannot {action} {}", path.display()))
    }
}

/// The sorted paths in `folder`.
pub(crate) fn entries(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let read = || fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<PathBuf>>>();
    let mut paths = read().at("read", folder)?;
    paths.sort();
    Ok(paths)
}

/// Replaces a file atomically: neither a full disk nor a killed process leaves an incomplete file under this name.
///
/// The content is first written to `partial`, a name in the same directory that no other process writes at the same time. A
/// killed process leaves this file; the next call with the same name overwrites it.
pub(crate) fn replace(path: &Path, partial: &str, content: &[u8]) -> io::Result<()> {
    let partial = path.with_file_name(partial);
    let replaced = fs::write(&partial, content).and_then(|()| fs::rename(&partial, path));
    if replaced.is_err() {
        let _ = fs::remove_file(&partial);
    }
    replaced
}
