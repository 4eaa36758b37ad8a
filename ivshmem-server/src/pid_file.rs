//! The file that names the server's process, for scripts that stop it.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process;

use rustix::fs::OFlags;

/// The file, removed when dropped.
#[derive(Debug)]
pub(crate) struct PidFile {
    path: PathBuf,
}

impl PidFile {
    /// Writes this process's id. A file that is there already is overwritten: whoever holds the
    /// socket is the server. What is no file, such as a FIFO, is left alone.
    pub(crate) fn write(path: &Path) -> io::Result<Self> {
        // To open a FIFO without a reader would wait for ever.
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o644)
            .custom_flags(flags.bits().cast_signed())
            .open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("it is no regular file: give another path with --pid-file"));
        }
        file.set_len(0)?;
        fill(file, path)?;
        // The process may change its folder later.
        Ok(Self { path: std::path::absolute(path)? })
    }
}

/// Writes the id into the file at the path, or removes that: one without an id would name nobody to the scripts that rely
/// on it.
fn fill(mut file: impl Write, path: &Path) -> io::Result<()> {
    let written = file.write_all(format!("{}\n", process::id()).as_bytes());
    if written.is_err() {
        let _ = fs::remove_file(path);
    }
    written
}

impl Drop for PidFile {
    /// Leaves the file alone when another process wrote itself into it meanwhile.
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
    fn where_the_id_has_no_room_no_file_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pid");
        fs::write(&path, "").unwrap();
        assert!(fill(&mut [0; 1][..], &path).is_err());
        assert!(!path.exists());
    }

    #[test]
    fn an_older_and_longer_id_is_overwritten_as_a_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pid");
        fs::write(&path, "123456789012345\n").unwrap();
        let file = PidFile::write(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{}\n", process::id()));
        drop(file);
        assert!(!path.exists());
    }
}
