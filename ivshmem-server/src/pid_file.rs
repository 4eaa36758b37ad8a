//! The pid file, for scripts that stop the server.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use rustix::process::geteuid;
use tracing::warn;

use crate::regular_file;

/// A pid file, removed when dropped.
#[derive(Debug)]
pub(crate) struct PidFile {
    path: PathBuf,
    /// Locked, to keep another server from overwriting the id.
    _file: File,
}

impl PidFile {
    /// Writes this process's id. An existing file is overwritten, unless a running server has locked it. Other file types,
    /// such as a FIFO, are refused.
    pub(crate) fn write(path: &Path) -> io::Result<Self> {
        let file = loop {
            let (file, _) = regular_file::open_or_create(path, 0o644, "--pid-file")?;
            lock(&file, path)?;
            // A server that exits between the two calls removes the opened file.
            if fs::symlink_metadata(path).is_ok_and(|now| file.metadata().is_ok_and(|own| own.ino() == now.ino())) {
                break file;
            }
        };
        let owner = file.metadata()?.uid();
        if owner != geteuid().as_raw() {
            warn!("{} belongs to user {owner}, who can change the process id in it at any time", path.display());
        }
        file.set_len(0)?;
        fill(&file, path)?;
        // The process changes its directory in the background.
        Ok(Self { path: std::path::absolute(path)?, _file: file })
    }
}

/// Locks the file for this process. File systems without locks are accepted.
fn lock(file: &File, path: &Path) -> io::Result<()> {
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => {
            let id = fs::read_to_string(path).unwrap_or_default();
            let server = if id.trim().is_empty() { String::new() } else { format!(" (process {})", id.trim()) };
            Err(io::Error::other(format!("in use by a running server{server}: choose another --pid-file")))
        }
        _ => Ok(()),
    }
}

/// Writes the id to the file, and removes it on failure: scripts cannot use a file without an id.
fn fill(mut file: impl Write, path: &Path) -> io::Result<()> {
    let written = file.write_all(format!("{}\n", process::id()).as_bytes());
    if written.is_err() {
        let _ = fs::remove_file(path);
    }
    written
}

impl Drop for PidFile {
    /// Keeps a file that another process has overwritten.
    fn drop(&mut self) {
        let ours = process::id().to_string();
        if fs::read_to_string(&self.path).is_ok_and(|text| text.trim() == ours) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removes_the_file_if_writing_fails() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pid");
        fs::write(&path, "").unwrap();
        assert!(fill(&mut [0; 1][..], &path).is_err());
        assert!(!path.exists());
    }

    #[test]
    fn refuses_the_file_of_a_running_server() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pid");
        let first = PidFile::write(&path).unwrap();
        let error = PidFile::write(&path).unwrap_err().to_string();
        assert!(error.starts_with(&format!("in use by a running server (process {})", process::id())), "{error}");
        assert!(path.exists(), "the refused server removes nothing");
        drop(first);
        PidFile::write(&path).unwrap();
    }

    #[test]
    fn overwrites_a_longer_id_completely() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pid");
        fs::write(&path, "123456789012345\n").unwrap();
        let file = PidFile::write(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{}\n", process::id()));
        drop(file);
        assert!(!path.exists());
    }
}
