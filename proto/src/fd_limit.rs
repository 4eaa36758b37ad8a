//! The limit of open files. A client holds a descriptor per vector and peer: 2,000 peers exceed the usual limit of
//! 1,024.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the limit of open files to the hard limit
/// ([setrlimit(2)](https://man7.org/linux/man-pages/man2/setrlimit.2.html)).
///
/// Programs call it once at their start; the library never changes the limits of its process. A descriptor beyond the
/// limit is lost, and receiving it returns an error.
pub fn raise_limit() -> io::Result<()> {
    let maximum = getrlimit(Resource::Nofile).maximum;
    Ok(setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?)
}
