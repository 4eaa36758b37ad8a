//! Reads directories, replaces files, and adds paths to I/O errors.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
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

/// Replaces a file atomically: neither a full disk nor a killed process leaves an incomplete file under this name. `prefix`
/// begins the name of the temporary file.
pub(crate) fn replace(path: &Path, prefix: &str, content: &[u8]) -> io::Result<()> {
    let mut partial = tempfile::Builder::new();
    let mut partial = partial
        .prefix(prefix)
        // Without the bits of the umask, as for any other file.
        .permissions(fs::Permissions::from_mode(0o666))
        .tempfile_in(path.parent().unwrap_or(Path::new(".")))?;
    partial.write_all(content)?;
    partial.persist(path).map(drop).map_err(|error| error.error)
}
