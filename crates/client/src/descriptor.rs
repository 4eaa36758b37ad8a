//! Checks received descriptors before use.

use std::ffi::OsString;
use std::fs::read_link;
use std::io;
use std::os::fd::{AsFd, AsRawFd};

use rustix::fs::{FileType, OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::fcntl_dupfd_cloexec;

/// Link target of an eventfd in `/proc/self/fd`.
const EVENTFD: &str = "anon_inode:[eventfd]";

/// A process that cannot open this many more files is near its limit. A valid message carries one descriptor.
const SPARE: usize = 16;

/// Whether this process can open more files. Only opening them shows it.
#[must_use]
pub fn can_open_more(fd: impl AsFd) -> bool {
    let copies: Result<Vec<_>, _> = (0..SPARE).map(|_| fcntl_dupfd_cloexec(&fd, 0)).collect();
    copies.is_ok()
}

/// The file type with its article, for messages.
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
        FileType::Unknown => "not a file, such as an eventfd",
    }
}

/// The kind of a descriptor that is not an eventfd. Without `/proc` every descriptor passes.
#[must_use]
pub fn kind_unless_eventfd(fd: impl AsFd) -> Option<String> {
    let link = format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd());
    let kind = read_link(link).ok().map(OsString::from)?;
    (kind != EVENTFD).then(|| kind.to_string_lossy().into_owned())
}

/// Sets `O_NONBLOCK`, for every process that shares the descriptor, as QEMU does with each eventfd. Otherwise a full or
/// empty counter would block a ring or a wait.
pub fn set_nonblocking(fd: impl AsFd) -> io::Result<()> {
    let flags = fcntl_getfl(&fd)?;
    if !flags.contains(OFlags::NONBLOCK) {
        fcntl_setfl(&fd, flags | OFlags::NONBLOCK)?;
    }
    Ok(())
}
