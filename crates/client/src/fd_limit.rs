//! The limit of open files: a client holds a descriptor for each vector of each peer, so that beside 2,000 peers
//! the 1,024 that most processes start with are too few.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the limit of open files to the hard limit
/// ([setrlimit(2)](https://man7.org/linux/man-pages/man2/setrlimit.2.html)), as far as this process may.
///
/// A descriptor that did not fit all the same is lost, which is an error to whoever receives it. For programs, which
/// call it once at their start: the client does not change its process.
pub fn raise_limit() {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}
