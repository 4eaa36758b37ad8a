//! Ringing and waiting: an eventfd's counter
//! ([eventfd(2)](https://man7.org/linux/man-pages/man2/eventfd.2.html)).
//!
//! Whether a read or write of it blocks is not this process's to say: `O_NONBLOCK` belongs to the open file
//! description, which all holders share. QEMU sets it, and a peer that means ill clears it and fills the counter. So the
//! flag is set each time, and nothing is read or written that poll does not say is there, or has room. What is left is a
//! peer that does all of its part between two calls here.

use std::io;
use std::os::fd::BorrowedFd;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, read, write};

use super::{deadline, descriptor};

const ONE_RING: [u8; 8] = 1_u64.to_ne_bytes();

/// Adds one ring to the counter. Where that is full, more rings are pending than anybody can count.
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
            // EAGAIN: it is full by now.
            Ok(_) | Err(Errno::AGAIN) => Ok(()),
            Err(Errno::INTR) => continue,
            Err(errno) => Err(errno.into()),
        };
    }
}

/// Waits until the counter is not zero, then takes it. Without a deadline, for ever.
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
            // Another holder of the eventfd was faster.
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}
