//! How much may be on its way to clients that have not read it yet.
//!
//! The kernel counts the descriptors that a user has under way, and at that user's limit of open files stops all of its
//! sending (ETOOMANYREFS). Clients that do not read must not bring the server there, so each gets room for as many
//! messages as it may have under way: many while there is plenty, fewer when there are many clients.
//!
//! What a client did not read stays under way after the server has hung up, for as long as the client keeps its end
//! open. Nothing tells when that changes, so such a client's room is never given to others.

use std::os::fd::AsRawFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::sockopt::set_socket_send_buffer_size;
use rustix::thread::{CapabilitySet, capabilities};
use tokio::net::UnixStream;
use tracing::debug;

use crate::fd_limit;

/// What the kernel counts for a small message, and half of it, since it doubles what it is asked for.
const MESSAGE_COST: usize = 768 / 2;

/// About what a socket has by default.
const MAX_MESSAGES: usize = 256;

/// The least that the kernel grants.
const MIN_MESSAGES: usize = 6;

/// The share of what is left that a newcomer gets, so that something is always left.
const SHARE: usize = 16;

/// SendBudget, in messages, for all clients together.
#[derive(Debug)]
pub(crate) struct SendBudget {
    /// What there is; `None` where the kernel sets no limit.
    limit: Option<usize>,
    taken: usize,
}

impl SendBudget {
    /// Half of the limit: the other half is for whatever else this user sends.
    pub(crate) fn new() -> Self {
        let privileged = CapabilitySet::SYS_RESOURCE | CapabilitySet::SYS_ADMIN;
        let unlimited = capabilities(None).is_ok_and(|sets| sets.effective.intersects(privileged));
        let half = usize::try_from(fd_limit::limit() / 2).unwrap_or(usize::MAX);
        Self { limit: (!unlimited).then_some(half), taken: 0 }
    }

    /// Takes a client's share, in messages. The least is given even when nothing is left.
    pub(crate) fn take(&mut self) -> usize {
        let left = self.limit.map_or(usize::MAX, |limit| limit.saturating_sub(self.taken));
        let share = (left / SHARE).clamp(MIN_MESSAGES, MAX_MESSAGES);
        self.taken += share;
        share
    }

    /// Takes a share back.
    pub(crate) fn give_back(&mut self, share: usize) {
        self.taken = self.taken.saturating_sub(share);
    }
}

/// Whether a client reads, as long as nothing is sent to it.
///
/// That its socket can be written to does not say it: the kernel says so only when three quarters are read.
#[derive(Debug)]
pub(crate) struct ReadProgress {
    unread: Option<u32>,
}

impl ReadProgress {
    /// Begins to look.
    pub(crate) fn of(stream: &UnixStream) -> Self {
        Self { unread: unread(stream) }
    }

    /// Whether the client has read something since the last look.
    pub(crate) fn has_advanced(&mut self, stream: &UnixStream) -> bool {
        let before = std::mem::replace(&mut self.unread, unread(stream));
        self.unread < before
    }
}

nix::ioctl_read_bad!(outq, nix::libc::TIOCOUTQ, nix::libc::c_int);

/// What the kernel holds for a client that has not read it, in bytes as it counts memory (SIOCOUTQ, another name of
/// TIOCOUTQ; [unix(7)](https://man7.org/linux/man-pages/man7/unix.7.html)). None where it does not say.
fn unread(stream: &UnixStream) -> Option<u32> {
    let mut bytes = 0;
    // SAFETY: the descriptor is open as long as the stream is borrowed, and the kernel writes one int.
    #[expect(unsafe_code, reason = "no library asks this of a socket")]
    let asked = unsafe { outq(stream.as_raw_fd(), &raw mut bytes) };
    asked.ok().and_then(|_| u32::try_from(bytes).ok())
}

/// Whether the client closed its end altogether, so that the kernel has dropped what it did not read. One that closed
/// only its sending half still holds all of it.
pub(crate) fn is_fully_closed(stream: &UnixStream) -> bool {
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    let mut ends = [PollFd::new(stream, PollFlags::empty())];
    poll(&mut ends, Some(&at_once)).is_ok() && ends[0].revents().contains(PollFlags::HUP)
}

/// Sets how many messages a client's socket may hold.
pub(crate) fn set_send_buffer(stream: &UnixStream, messages: usize) {
    set_bytes(stream, messages * MESSAGE_COST);
}

/// As much as the kernel grants: at the end, so that a client can read what it was told after the server is gone.
/// Waiting senders wake up.
pub(crate) fn maximize_send_buffer(stream: &UnixStream) {
    set_bytes(stream, 1 << 20);
}

fn set_bytes(stream: &UnixStream, bytes: usize) {
    if let Err(error) = set_socket_send_buffer_size(stream, bytes) {
        debug!("a client's socket keeps its buffer's size: {error}");
    }
}

#[cfg(test)]
mod tests {
    use std::net::Shutdown;

    use super::*;

    #[test]
    fn many_clients_share_what_there_is() {
        let mut room = SendBudget { limit: Some(10_000), taken: 0 };
        let shares: Vec<_> = (0..500).map(|_| room.take()).collect();
        assert_eq!((shares[0], shares[499]), (MAX_MESSAGES, MIN_MESSAGES));
        assert!(shares.is_sorted_by(|earlier, later| earlier >= later));
        assert!(shares.iter().sum::<usize>() <= 10_000 + 500 * MIN_MESSAGES);
        for share in shares {
            room.give_back(share);
        }
        assert_eq!(room.taken, 0);
    }

    #[test]
    fn only_a_client_that_closed_both_halves_is_gone() {
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
    fn what_is_given_back_can_be_had_again() {
        let mut room = SendBudget { limit: Some(1600), taken: 0 };
        let share = room.take();
        assert_eq!(share, 100);
        room.give_back(share);
        assert_eq!(room.take(), 100);
    }

    #[test]
    fn without_a_limit_each_gets_the_most() {
        let mut room = SendBudget { limit: None, taken: 0 };
        assert!((0..10_000).all(|_| room.take() == MAX_MESSAGES));
    }
}
