//! A small file of /proc that is read repeatedly without opening it or allocating.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Larger than any of these files: /proc/PID/status grows with the number of CPUs, to about 4 KiB for thousands.
const ROOM: usize = 16 << 10;

/// The open file and its buffer.
pub(super) struct ProcFile {
    file: File,
    buffer: Box<[u8]>,
}

impl ProcFile {
    pub(super) fn open(path: &str) -> io::Result<Self> {
        Ok(Self { file: File::open(path)?, buffer: vec![0; ROOM].into() })
    }

    /// The current text: reading from offset 0 regenerates it. `None` if the thread ended.
    pub(super) fn text(&mut self) -> Option<&str> {
        let length = self.file.read_at(&mut self.buffer, 0).ok()?;
        std::str::from_utf8(&self.buffer[..length]).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_again_from_the_start() {
        let mut schedstat = ProcFile::open("/proc/thread-self/schedstat").unwrap();
        assert!(schedstat.text().unwrap().split_whitespace().count() >= 3);
        assert!(schedstat.text().unwrap().split_whitespace().count() >= 3);
    }
}
