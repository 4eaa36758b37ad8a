//! The process's limit of open files, which limits the number of peers.

use std::fs::{self, File};
use std::io;

pub use proto::fd_limit::raise_limit;
use rustix::process::{Resource, getrlimit};

/// Descriptors reserved for the server itself: connections that are being refused, the runtime, short reads of /proc.
const RESERVE: u64 = 16;

/// Checks that the descriptors for a start are available. Without them, libraries would panic later.
pub fn check_for_start() -> io::Result<()> {
    let files: io::Result<Vec<File>> = (0..RESERVE).map(|_| File::open("/dev/null")).collect();
    files.map(drop)
}

/// The number of files that this process may open.
#[must_use]
pub fn limit() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// How many peers fit into the limit, given the files open now.
pub(crate) fn available_peers(vectors: u16) -> io::Result<usize> {
    let open = fs::read_dir("/proc/self/fd")?.count();
    Ok(max_peers(limit(), open as u64, vectors))
}

/// Each peer takes one descriptor for its connection and one per vector.
fn max_peers(limit: u64, open: u64, vectors: u16) -> usize {
    let free = limit.saturating_sub(open).saturating_sub(RESERVE);
    usize::try_from(free / (u64::from(vectors) + 1)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_takes_one_descriptor_and_one_per_vector() {
        assert_eq!(max_peers(1024, 8, 1), 500);
        assert_eq!(max_peers(1024, 8, 256), 3);
        assert_eq!(max_peers(20, 8, 1), 0);
    }
}
