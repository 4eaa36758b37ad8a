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
    /// socket is the server.
    pub(crate) fn write(path: &Path) -> io::Result<Self> {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o644)
            .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
            .open(path)?;
        writeln!(file, "{}", process::id())?;
        Ok(Self { path: path.into() })
    }
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
