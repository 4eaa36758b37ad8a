//! A small file of /proc that is read again and again, without opening it or allocating each time.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// More than any of these files is long: /proc/PID/status grows with the number of CPUs, to about 4 KiB for thousands.
const ROOM: usize = 16 << 10;

/// The open file and room for its text.
pub(super) struct ProcFile {
    file: File,
    buffer: Box<[u8]>,
}

impl ProcFile {
    pub(super) fn open(path: &str) -> io::Result<Self> {
        Ok(Self { file: File::open(path)?, buffer: vec![0; ROOM].into() })
    }

    /// Its text as it is now: reading from the start makes the kernel write it anew. `None`: the thread is gone.
    pub(super) fn text(&mut self) -> Option<&str> {
        let length = self.file.read_at(&mut self.buffer, 0).ok()?;
        std::str::from_utf8(&self.buffer[..length]).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_anew_each_time() {
        let mut schedstat = ProcFile::open("/proc/thread-self/schedstat").unwrap();
        assert!(schedstat.text().unwrap().split_whitespace().count() >= 3);
        assert!(schedstat.text().unwrap().split_whitespace().count() >= 3);
    }
}
