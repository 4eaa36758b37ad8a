//! Rings and waits on an eventfd ([eventfd(2)](https://man7.org/linux/man-pages/man2/eventfd.2.html)).
//!
//! `O_NONBLOCK` belongs to the open file description, which all processes share. QEMU sets it; a malicious peer can
//! clear it and fill the counter. So the flag is set before each access, and poll(2) confirms that the access cannot
//! block. The remaining race is a peer that does both between two calls here.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, read, write};

use super::{deadline, descriptor};

const ONE_RING: [u8; 8] = 1_u64.to_ne_bytes();

/// Adds one ring to the counter. A full counter stays full: the receiver wakes up either way.
pub(super) fn ring(fd: BorrowedFd<'_>) -> io::Result<()> {
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    loop {
        descriptor::set_nonblocking(fd)?;
        match poll(&mut [PollFd::new(&fd, PollFlags::OUT)], Some(&at_once)) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(errno) => return Err(errno.into()),
        }
        return match write(fd, &ONE_RING) {
            // EAGAIN: the counter became full.
            Ok(_) | Err(Errno::AGAIN) => Ok(()),
            Err(Errno::INTR) => continue,
            Err(errno) => Err(errno.into()),
        };
    }
}

/// Waits until the counter is not zero, then reads and clears it. Without a deadline it waits without limit.
pub(super) fn wait(fd: BorrowedFd<'_>, deadline: Option<Instant>) -> io::Result<Option<u64>> {
    loop {
        let timeout = deadline.map(deadline::remaining);
        match poll(&mut [PollFd::new(&fd, PollFlags::IN)], timeout.as_ref()) {
            Ok(0) => return Ok(None),
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(errno) => return Err(errno.into()),
        }
        descriptor::set_nonblocking(fd)?;
        let mut count = [0; 8];
        match read(fd, &mut count) {
            Ok(_) => return Ok(Some(u64::from_ne_bytes(count))),
            // Another process read the counter first.
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}
