//! The host's own eventfd as a source of events.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use doorbell::wait::{EventSource, Wakeup};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// How long a block may last before the waiter looks around. Eventfds that a server hands out are non-blocking, so the
/// wait is a `poll` in any case, and its timeout costs nothing.
const GUARD_MS: u16 = 10;

/// See the module.
#[derive(Debug)]
pub(super) struct EventFd<'f> {
    fd: BorrowedFd<'f>,
    guard: PollTimeout,
}

impl<'f> EventFd<'f> {
    /// `guard_ms` where a block is to last longer than usual.
    pub(super) fn new(fd: &'f impl AsFd, guard_ms: Option<u64>) -> Self {
        let guard = guard_ms.and_then(|ms| u16::try_from(ms).ok()).unwrap_or(GUARD_MS);
        Self { fd: fd.as_fd(), guard: guard.into() }
    }

    /// Collects what is left over.
    pub(super) fn drain(&mut self) -> io::Result<u64> {
        match self.read()? {
            Wakeup::Events(n) => Ok(n),
            Wakeup::Timeout => Ok(0),
        }
    }

    fn read(&mut self) -> io::Result<Wakeup> {
        let mut word = [0; 8];
        match nix::unistd::read(self.fd, &mut word) {
            Ok(_) => Ok(Wakeup::Events(u64::from_ne_bytes(word))),
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(Wakeup::Timeout),
            Err(error) => Err(error.into()),
        }
    }
}

impl EventSource for EventFd<'_> {
    fn wait_event(&mut self) -> io::Result<Wakeup> {
        let mut fds = [PollFd::new(self.fd, PollFlags::POLLIN)];
        match poll(&mut fds, self.guard) {
            Ok(0) | Err(Errno::EINTR) => Ok(Wakeup::Timeout),
            Ok(_) => self.read(),
            Err(error) => Err(error.into()),
        }
    }
}

/// One ring.
pub(super) fn ring(eventfd: &impl AsFd) -> io::Result<()> {
    nix::unistd::write(eventfd, &1_u64.to_ne_bytes())?;
    Ok(())
}
