//! Limits the descriptors that are in flight: sent to clients that have not read them yet.
//!
//! The kernel counts the in-flight descriptors of a user. Beyond that user's limit of open files all its sending fails
//! (ETOOMANYREFS, [unix(7)](https://man7.org/linux/man-pages/man7/unix.7.html)). Clients that do not read must not cause
//! this. So the send buffer of each client holds only its share of the limit, which is smaller with many clients.
//!
//! Messages that a client did not read stay in flight after the server has closed the connection, until the client closes
//! its end. The server cannot observe that, so it does not reuse the share of such a client.

use std::os::fd::AsRawFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::sockopt::set_socket_send_buffer_size;
use rustix::thread::{CapabilitySet, capabilities};
use tokio::net::UnixStream;
use tracing::debug;

use crate::fd_limit;

/// Half of the memory that the kernel counts for a small message. Half, because it doubles the requested buffer size.
const MESSAGE_COST: usize = 768 / 2;

/// About the default buffer of a socket, in messages.
const MAX_MESSAGES: usize = 256;

/// The smallest buffer that the kernel grants, in messages.
const MIN_MESSAGES: usize = 6;

/// A client gets this fraction of the remaining budget, so it never runs out.
const SHARE: usize = 16;

/// How many messages may be in flight to all clients together.
#[derive(Debug)]
pub(crate) struct SendBudget {
    /// `None` if the kernel sets no limit.
    limit: Option<usize>,
    taken: usize,
}

impl SendBudget {
    /// Uses half of the limit. The other half is for other programs of this user.
    pub(crate) fn new() -> Self {
        let privileged = CapabilitySet::SYS_RESOURCE | CapabilitySet::SYS_ADMIN;
        let unlimited = capabilities(None).is_ok_and(|sets| sets.effective.intersects(privileged));
        let half = usize::try_from(fd_limit::limit() / 2).unwrap_or(usize::MAX);
        Self { limit: (!unlimited).then_some(half), taken: 0 }
    }

    /// Takes a client's share, in messages: at least [`MIN_MESSAGES`], even if nothing remains.
    pub(crate) fn take(&mut self) -> usize {
        let remaining = self.limit.map_or(usize::MAX, |limit| limit.saturating_sub(self.taken));
        let share = (remaining / SHARE).clamp(MIN_MESSAGES, MAX_MESSAGES);
        self.taken += share;
        share
    }

    pub(crate) fn give_back(&mut self, share: usize) {
        self.taken = self.taken.saturating_sub(share);
    }
}

/// Detects whether a client reads while nothing is sent to it.
///
/// Whether its socket is writable does not show this: the kernel reports a socket as writable only after the client has read
/// three quarters of the buffer.
#[derive(Debug)]
pub(crate) struct ReadProgress {
    unread: Option<u32>,
}

impl ReadProgress {
    pub(crate) fn new(stream: &UnixStream) -> Self {
        Self { unread: unread(stream) }
    }

    /// Whether the client has read since the last call.
    pub(crate) fn has_advanced(&mut self, stream: &UnixStream) -> bool {
        let before = std::mem::replace(&mut self.unread, unread(stream));
        self.unread < before
    }
}

nix::ioctl_read_bad!(outq, nix::libc::TIOCOUTQ, nix::libc::c_int);

/// The memory of unread messages, in bytes (SIOCOUTQ, which equals TIOCOUTQ;
/// [unix(7)](https://man7.org/linux/man-pages/man7/unix.7.html)). `None` if the kernel does not report it.
fn unread(stream: &UnixStream) -> Option<u32> {
    let mut bytes = 0;
    // SAFETY: the borrowed stream keeps the descriptor open, and the kernel writes one int.
    #[expect(unsafe_code, reason = "no library offers this ioctl for sockets")]
    let result = unsafe { outq(stream.as_raw_fd(), &raw mut bytes) };
    result.ok().and_then(|_| u32::try_from(bytes).ok())
}

/// Whether the client closed both directions. Then the kernel has dropped its unread messages. After closing only the sending
/// half they are still in flight.
pub(crate) fn is_fully_closed(stream: &UnixStream) -> bool {
    let no_wait = Timespec { tv_sec: 0, tv_nsec: 0 };
    let mut fds = [PollFd::new(stream, PollFlags::empty())];
    poll(&mut fds, Some(&no_wait)).is_ok() && fds[0].revents().contains(PollFlags::HUP)
}

/// Sets how many messages a client's send buffer holds.
pub(crate) fn set_send_buffer(stream: &UnixStream, messages: usize) {
    set_bytes(stream, messages * MESSAGE_COST);
}

/// Sets the largest buffer that the kernel grants, for shutdown: a client can still read from it after the server has
/// ended. Wakes up waiting senders.
pub(crate) fn maximize_send_buffer(stream: &UnixStream) {
    set_bytes(stream, 1 << 20);
}

fn set_bytes(stream: &UnixStream, bytes: usize) {
    if let Err(error) = set_socket_send_buffer_size(stream, bytes) {
        debug!("cannot set the size of a client's send buffer: {error}");
    }
}

#[cfg(test)]
mod tests {
    use std::net::Shutdown;

    use super::*;

    #[test]
    fn many_clients_share_the_limit() {
        let mut budget = SendBudget { limit: Some(10_000), taken: 0 };
        let shares: Vec<_> = (0..500).map(|_| budget.take()).collect();
        assert_eq!((shares[0], shares[499]), (MAX_MESSAGES, MIN_MESSAGES));
        assert!(shares.is_sorted_by(|earlier, later| earlier >= later));
        assert!(shares.iter().sum::<usize>() <= 10_000 + 500 * MIN_MESSAGES);
        for share in shares {
            budget.give_back(share);
        }
        assert_eq!(budget.taken, 0);
    }

    #[test]
    fn fully_closed_only_after_both_halves_are_closed() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _context = runtime.enter();
        let (ours, theirs) = UnixStream::pair().unwrap();
        assert!(!is_fully_closed(&ours));
        let theirs = theirs.into_std().unwrap();
        theirs.shutdown(Shutdown::Write).unwrap();
        assert!(!is_fully_closed(&ours));
        drop(theirs);
        assert!(is_fully_closed(&ours));
    }

    #[test]
    fn returned_shares_can_be_taken_again() {
        let mut budget = SendBudget { limit: Some(1600), taken: 0 };
        let share = budget.take();
        assert_eq!(share, 100);
        budget.give_back(share);
        assert_eq!(budget.take(), 100);
    }

    #[test]
    fn without_a_limit_each_client_gets_the_maximum() {
        let mut budget = SendBudget { limit: None, taken: 0 };
        assert!((0..10_000).all(|_| budget.take() == MAX_MESSAGES));
    }
}
