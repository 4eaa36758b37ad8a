//! The pid file, for scripts that stop the server.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process;

use rustix::fs::OFlags;

/// A pid file, removed when dropped.
#[derive(Debug)]
pub(crate) struct PidFile {
    path: PathBuf,
}

impl PidFile {
    /// Writes this process's id. An existing file is overwritten, because the process that holds the socket is the server.
    /// Other file types, such as a FIFO, are refused.
    pub(crate) fn write(path: &Path) -> io::Result<Self> {
        // Opening a FIFO without a reader would block.
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o644)
            .custom_flags(flags.bits().cast_signed())
            .open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("not a regular file: give another path with --pid-file"));
        }
        file.set_len(0)?;
        fill(file, path)?;
        // The process changes its directory in the background.
        Ok(Self { path: std::path::absolute(path)? })
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
