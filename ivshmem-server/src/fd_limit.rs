//! The process's limit of open files, which decides how many peers there can be.

use std::fs::{self, File};
use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What the server itself may still open: connections on their way to being refused, the runtime's
/// own descriptors, short reads of /proc.
const RESERVE: u64 = 16;

/// Raises the limit of open files to the hard limit
/// ([setrlimit(2)](https://man7.org/linux/man-pages/man2/setrlimit.2.html)).
pub fn raise_limit() -> io::Result<()> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let current = maximum;
    Ok(setrlimit(Resource::Nofile, Rlimit { current, maximum })?)
}

/// Opens as many files as a start needs, and closes them again: libraries that find none end the process with a panic.
pub fn check_for_start() -> io::Result<()> {
    let opened: io::Result<Vec<File>> = (0..RESERVE).map(|_| File::open("/dev/null")).collect();
    opened.map(drop)
}

/// The number of files that this process may have open.
#[must_use]
pub fn limit() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// How many peers there are descriptors for, beside what is open now.
pub(crate) fn room_for_peers(vectors: u16) -> io::Result<usize> {
    let open = fs::read_dir("/proc/self/fd")?.count();
    Ok(room(limit(), open as u64, vectors))
}

/// Each peer takes one descriptor for its connection and one per vector.
fn room(limit: u64, open: u64, vectors: u16) -> usize {
    let free = limit.saturating_sub(open).saturating_sub(RESERVE);
    usize::try_from(free / (u64::from(vectors) + 1)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_takes_its_connection_and_its_vectors() {
        assert_eq!(room(1024, 8, 1), 500);
        assert_eq!(room(1024, 8, 256), 3);
        assert_eq!(room(20, 8, 1), 0);
    }
}
