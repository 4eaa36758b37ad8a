//! Looking at received descriptors before they are relied on.

use std::ffi::OsString;
use std::fs::read_link;
use std::io;
use std::os::fd::{AsFd, AsRawFd};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

/// What the kernel calls an eventfd in `/proc/self/fd`.
const EVENTFD: &str = "anon_inode:[eventfd]";

/// What a descriptor is, if it is no eventfd. Without `/proc` everything passes.
pub(crate) fn foreign_kind(fd: impl AsFd) -> Option<String> {
    let link = format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd());
    let kind = read_link(link).ok().map(OsString::from)?;
    (kind != EVENTFD).then(|| kind.to_string_lossy().into_owned())
}

/// Makes reads and writes return where they would block, for all holders of the descriptor, as QEMU does with each
/// eventfd that it is given. Otherwise a full or emptied counter would hold a ring or a wait for ever.
pub(crate) fn never_block(fd: impl AsFd) -> io::Result<()> {
    let flags = fcntl_getfl(&fd)?;
    if !flags.contains(OFlags::NONBLOCK) {
        fcntl_setfl(&fd, flags | OFlags::NONBLOCK)?;
    }
    Ok(())
}
