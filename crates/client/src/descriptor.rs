//! Looking at received descriptors before they are relied on.

use std::ffi::OsString;
use std::fs::read_link;
use std::io;
use std::os::fd::{AsFd, AsRawFd};

use rustix::fs::{FileType, OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::fcntl_dupfd_cloexec;

/// What the kernel calls an eventfd in `/proc/self/fd`.
const EVENTFD: &str = "anon_inode:[eventfd]";

/// Whoever may open no more than so many files is near its limit. A good message brings one.
const ROOM: usize = 16;

/// Whether this process may open some more files. The kernel says so only to whoever tries.
#[must_use]
pub fn can_open_more(fd: impl AsFd) -> bool {
    let copies: Result<Vec<_>, _> = (0..ROOM).map(|_| fcntl_dupfd_cloexec(&fd, 0)).collect();
    copies.is_ok()
}

/// What a descriptor leads to, in the words of a sentence.
#[must_use]
pub fn describe_kind(kind: FileType) -> &'static str {
    match kind {
        FileType::RegularFile => "a file",
        FileType::Directory => "a folder",
        FileType::Symlink => "a symbolic link",
        FileType::Fifo => "a FIFO",
        FileType::Socket => "a socket",
        FileType::CharacterDevice => "a character device",
        FileType::BlockDevice => "a block device",
        FileType::Unknown => "something that is no file, such as an eventfd",
    }
}

/// What a descriptor is, if it is no eventfd. Without `/proc` everything passes.
#[must_use]
pub fn kind_unless_eventfd(fd: impl AsFd) -> Option<String> {
    let link = format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd());
    let kind = read_link(link).ok().map(OsString::from)?;
    (kind != EVENTFD).then(|| kind.to_string_lossy().into_owned())
}

/// Makes reads and writes return where they would block, for all holders of the descriptor, as QEMU does with each
/// eventfd that it is given. Otherwise a full or emptied counter would hold a ring or a wait for ever.
pub fn set_nonblocking(fd: impl AsFd) -> io::Result<()> {
    let flags = fcntl_getfl(&fd)?;
    if !flags.contains(OFlags::NONBLOCK) {
        fcntl_setfl(&fd, flags | OFlags::NONBLOCK)?;
    }
    Ok(())
}
