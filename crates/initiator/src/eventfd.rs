//! Rings the guest and waits on the host's own eventfd.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use doorbell::wait::{EventSource, Wakeup};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Default wait timeout. The eventfds of a server are non-blocking, so each wait is a poll(2) and the timeout costs
/// nothing.
const WAIT_TIMEOUT_MS: u16 = 10;

/// The host's eventfd as a source of events.
#[derive(Debug)]
pub(super) struct EventFd<'f> {
    fd: BorrowedFd<'f>,
    timeout: PollTimeout,
}

impl<'f> EventFd<'f> {
    /// `timeout_ms`: a longer wait timeout than the default.
    pub(super) fn new(fd: &'f impl AsFd, timeout_ms: Option<u64>) -> Self {
        let timeout = timeout_ms.and_then(|ms| u16::try_from(ms).ok()).unwrap_or(WAIT_TIMEOUT_MS);
        Self { fd: fd.as_fd(), timeout: timeout.into() }
    }

    /// Clears pending rings.
    pub(super) fn drain(&mut self) -> io::Result<()> {
        self.read().map(drop)
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
        match poll(&mut fds, self.timeout) {
            Ok(0) | Err(Errno::EINTR) => Ok(Wakeup::Timeout),
            Ok(_) => self.read(),
            Err(error) => Err(error.into()),
        }
    }
}

/// Rings an eventfd once.
pub(super) fn ring(eventfd: &impl AsFd) -> io::Result<()> {
    nix::unistd::write(eventfd, &1_u64.to_ne_bytes())?;
    Ok(())
}
