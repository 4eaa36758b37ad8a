//! Turns a client's notifications into messages and sends them in order, as fast as the client reads.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use proto::fd_passing::{SendError, send_batch};
use proto::wire::{self, MESSAGE_BYTES, Message, PROTOCOL_VERSION};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tracing::warn;

use super::fd_budget::ReadProgress;
use crate::memory::own_description;
use crate::registry::{Batch, ClientView, Notification};
use crate::shared::SharedState;

/// Pause while too many descriptors are in flight. The kernel does not signal when there are fewer.
const IN_FLIGHT_PAUSE: Duration = Duration::from_millis(10);

/// Messages sent by one system call, and notifications taken for it.
const MAX_BATCH: usize = 64;

/// Capacity of an idle client's queue.
const IDLE_CAPACITY: usize = 2;

/// Why sending to a client ended.
#[derive(Debug)]
pub(crate) enum SendFailure {
    /// The client did not read pending messages for this time.
    Stalled(Duration),
    Failed(SendError),
}

/// Sends notifications until the server stops, the connection fails, or the client stops reading. `updates` changes when new
/// notifications may be available.
pub(crate) async fn deliver(
    stream: &UnixStream,
    view: &mut ClientView,
    shared: &SharedState,
    mut updates: watch::Receiver<()>,
) -> Result<(), SendFailure> {
    let mut outbox = Outbox::default();
    let mut fd_limit_guard = None;
    loop {
        if outbox.notifications.is_empty() {
            updates.mark_unchanged();
            let batch = shared.registry().next_batch(MAX_BATCH, view, &mut outbox.notifications);
            match batch {
                Batch::Ready => {}
                Batch::Closed => return Ok(()),
                Batch::Empty => {
                    // Most clients are idle most of the time.
                    outbox.notifications.shrink_to(IDLE_CAPACITY);
                    view.stats.unsent.store(0, Relaxed);
                    // An error means that the server was dropped, and this task with it.
                    let _ = updates.changed().await;
                    continue;
                }
            }
        }
        view.stats.unsent.store(outbox.notifications.len(), Relaxed);
        match outbox.send(stream, shared) {
            Ok(messages) => {
                fd_limit_guard = None;
                view.stats.messages.fetch_add(messages, Relaxed);
                shared.totals.messages.fetch_add(messages, Relaxed);
            }
            Err(SendError::WouldBlock) => wait_until_writable(stream, shared.stall_timeout).await?,
            Err(SendError::TooManyInFlight) => {
                if outbox.is_stalled(stream, shared.stall_timeout) {
                    return Err(SendFailure::Stalled(shared.stall_timeout));
                }
                fd_limit_guard.get_or_insert_with(|| FdLimitGuard::new(&shared.totals.held_up));
                sleep(IN_FLIGHT_PAUSE).await;
            }
            Err(error) => return Err(SendFailure::Failed(error)),
        }
    }
}

/// Counts a client as waiting while too many descriptors are in flight.
struct FdLimitGuard<'h>(&'h AtomicU64);

impl<'h> FdLimitGuard<'h> {
    /// Only the first waiting client logs the warning.
    fn new(waiting: &'h AtomicU64) -> Self {
        if waiting.fetch_add(1, Relaxed) == 0 {
            warn!(
                "a client waits: the kernel counts too many descriptors in flight. End the clients that do not read, also those \
                 that were disconnected, or raise the limit of open files (ulimit -Hn)"
            );
        }
        Self(waiting)
    }
}

impl Drop for FdLimitGuard<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// Waits until a full socket is writable. Each message that the client reads restarts the time limit.
async fn wait_until_writable(stream: &UnixStream, limit: Duration) -> Result<(), SendFailure> {
    let mut progress = ReadProgress::new(stream);
    loop {
        match timeout(limit, stream.writable()).await {
            Ok(writable) => return writable.map_err(|error| SendFailure::Failed(SendError::Socket(error))),
            Err(_) if progress.has_advanced(stream) => {}
            Err(_) => return Err(SendFailure::Stalled(limit)),
        }
    }
}

/// Unsent notifications. The first one may be partly sent.
#[derive(Debug, Default)]
struct Outbox {
    notifications: VecDeque<Notification>,
    /// Vectors of the first notification that were sent.
    vectors: usize,
    /// Bytes of the next message that were sent.
    bytes: usize,
    /// While too many descriptors are in flight: when this client last read, if it has unread messages.
    unread_since: Option<(Instant, ReadProgress)>,
}

/// A message with the owner of its descriptor, which stays open while it is sent.
struct Outgoing {
    value: i64,
    fd: Descriptor,
}

enum Descriptor {
    None,
    Memory(Arc<OwnedFd>),
    Doorbell(Arc<[OwnedFd]>, usize),
    /// Replaces a doorbell of a peer that left before all its vectors were sent. The client counts messages, so none may
    /// be missing.
    Dummy,
}

impl Outbox {
    /// Sends as much as the socket accepts. Returns the number of complete messages.
    fn send(&mut self, stream: &UnixStream, shared: &SharedState) -> Result<u64, SendError> {
        let outgoing = self.next_messages(shared.vectors);
        let messages: Vec<_> = outgoing
            .iter()
            .map(|Outgoing { value, fd }| {
                let fd = match fd {
                    Descriptor::None => None,
                    Descriptor::Memory(fd) => Some(fd.as_fd()),
                    Descriptor::Doorbell(fds, vector) => fds.get(*vector).map(AsFd::as_fd),
                    Descriptor::Dummy => Some(shared.dummy_eventfd.as_fd()),
                };
                Message { value: *value, fd }
            })
            .collect();
        // Tokio clears its readiness only if it receives this error.
        let sent = stream.try_io(Interest::WRITABLE, || match send_batch(stream, &messages, self.bytes) {
            Err(SendError::WouldBlock) => Err(ErrorKind::WouldBlock.into()),
            other => Ok(other),
        });
        let sent = sent.unwrap_or_else(|error: io::Error| {
            Err(match error.kind() {
                ErrorKind::WouldBlock => SendError::WouldBlock,
                _ => SendError::Socket(error),
            })
        })?;
        self.unread_since = None;
        Ok(self.advance(sent, shared.vectors))
    }

    /// While too many descriptors are in flight: whether this client contributes to it and has read nothing for `limit`. Its
    /// socket need not be full, but one that is at most a quarter full counts as read.
    fn is_stalled(&mut self, stream: &UnixStream, limit: Duration) -> bool {
        let no_wait = Timespec { tv_sec: 0, tv_nsec: 0 };
        let is_read = poll(&mut [PollFd::new(stream, PollFlags::OUT)], Some(&no_wait)).is_ok_and(|ready| ready > 0);
        if is_read {
            self.unread_since = None;
            return false;
        }
        let (since, progress) = self.unread_since.get_or_insert_with(|| (Instant::now(), ReadProgress::new(stream)));
        if progress.has_advanced(stream) {
            *since = Instant::now();
        }
        since.elapsed() >= limit
    }

    /// The messages of the first notifications.
    fn next_messages(&self, vectors: u16) -> Vec<Outgoing> {
        let plain = |value| Outgoing { value, fd: Descriptor::None };
        let mut outgoing = Vec::with_capacity(MAX_BATCH);
        let mut skip = self.vectors;
        for notification in &self.notifications {
            match notification {
                Notification::Version => outgoing.push(plain(PROTOCOL_VERSION)),
                Notification::OwnId(id) | Notification::Left(id) => outgoing.push(plain(id.to_wire())),
                Notification::Memory(fd) => {
                    outgoing.push(Outgoing { value: wire::MEMORY, fd: Descriptor::Memory(own_description(fd)) });
                }
                Notification::Doorbells(doorbells) => {
                    let eventfds = doorbells.eventfds.upgrade();
                    outgoing.extend((skip..vectors.into()).take(MAX_BATCH - outgoing.len()).map(|vector| {
                        let fd = match &eventfds {
                            Some(eventfds) => Descriptor::Doorbell(Arc::clone(eventfds), vector),
                            None => Descriptor::Dummy,
                        };
                        Outgoing { value: doorbells.peer.to_wire(), fd }
                    }));
                }
            }
            skip = 0;
            if outgoing.len() == MAX_BATCH {
                break;
            }
        }
        outgoing
    }

    /// Removes sent bytes. Returns the number of messages that are now complete.
    fn advance(&mut self, sent: usize, vectors: u16) -> u64 {
        let bytes = self.bytes + sent;
        let messages = bytes / MESSAGE_BYTES;
        self.bytes = bytes % MESSAGE_BYTES;
        let mut rest = messages;
        while rest > 0 {
            let in_first = match self.notifications.front() {
                Some(Notification::Doorbells(_)) => usize::from(vectors) - self.vectors,
                Some(_) => 1,
                None => break,
            };
            if rest < in_first {
                self.vectors += rest;
                break;
            }
            rest -= in_first;
            self.vectors = 0;
            self.notifications.pop_front();
        }
        messages as u64
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::sync::Weak;

    use proto::wire::PeerId;

    use super::*;
    use crate::registry::{Doorbells, new_eventfd};

    fn doorbells(peer: u16) -> Notification {
        let dropped: Arc<[OwnedFd]> = Arc::new([new_eventfd().unwrap()]);
        let eventfds: Weak<[OwnedFd]> = Arc::downgrade(&dropped);
        Notification::Doorbells(Doorbells { peer: PeerId(peer), eventfds })
    }

    #[test]
    fn sends_each_byte_once_however_much_the_socket_accepts() {
        let values: Vec<i64> = [0, 9, -1].into_iter().chain([3; 5]).chain([7]).chain([4; 5]).collect();
        for take in 1..=64 {
            let memory = Arc::new(new_eventfd().unwrap());
            let notifications = [
                Notification::Version,
                Notification::OwnId(PeerId(9)),
                Notification::Memory(memory),
                doorbells(3),
                Notification::Left(PeerId(7)),
                doorbells(4),
            ];
            let mut outbox = Outbox { notifications: notifications.into(), ..Outbox::default() };
            let (mut stream, mut messages) = (Vec::new(), 0);
            while !outbox.notifications.is_empty() {
                let next: Vec<u8> =
                    outbox.next_messages(5).iter().flat_map(|message| wire::encode(message.value)).collect();
                let rest = &next[outbox.bytes..];
                let accepted = &rest[..take.min(rest.len())];
                stream.extend_from_slice(accepted);
                messages += outbox.advance(accepted.len(), 5);
            }
            let expected: Vec<u8> = values.iter().flat_map(|&value| wire::encode(value)).collect();
            assert_eq!((stream, messages), (expected, 14), "{take} bytes at a time");
        }
    }

    #[test]
    fn waits_for_slow_readers_only() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (ours, mut theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        runtime.block_on(async {
            let stream = UnixStream::from_std(ours).unwrap();
            crate::clients::fd_budget::set_send_buffer(&stream, 64);
            stream.writable().await.unwrap();
            while stream.try_write(&[0; MESSAGE_BYTES]).is_ok() {}
            let stalled = wait_until_writable(&stream, Duration::from_millis(20)).await;
            assert!(matches!(stalled, Err(SendFailure::Stalled(_))));
            // One message is not enough to make the socket writable.
            let mut progress = ReadProgress::new(&stream);
            assert!(!progress.has_advanced(&stream), "nothing was read yet");
            theirs.read_exact(&mut [0; MESSAGE_BYTES]).unwrap();
            assert!(progress.has_advanced(&stream));
            assert!(!progress.has_advanced(&stream), "nothing was read since");
            let period = Duration::from_millis(20);
            let reading_slowly = async {
                loop {
                    // In the same thread, so it cannot be delayed past the check.
                    sleep(period / 4).await;
                    theirs.read_exact(&mut [0; MESSAGE_BYTES]).unwrap();
                }
            };
            tokio::select! {
                // On a busy machine both may be late.
                biased;
                never = reading_slowly => never,
                waited = wait_until_writable(&stream, period) => assert!(waited.is_ok(), "{waited:?}"),
            }
        });
    }

    #[test]
    fn only_clients_with_old_unread_messages_stall() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _context = runtime.enter();
        let (ours, mut theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let mut sender = ours.try_clone().unwrap();
        let stream = UnixStream::from_std(ours).unwrap();
        crate::clients::fd_budget::set_send_buffer(&stream, 6);
        let mut outbox = Outbox::default();
        assert!(!outbox.is_stalled(&stream, Duration::ZERO), "nothing is unread");
        for _ in 0..3 {
            sender.write_all(&[0; MESSAGE_BYTES]).unwrap();
        }
        assert!(!outbox.is_stalled(&stream, Duration::MAX), "the limit has not passed");
        assert!(outbox.is_stalled(&stream, Duration::ZERO));
        let start = Instant::now();
        assert!(!outbox.is_stalled(&stream, Duration::MAX));
        assert!(outbox.unread_since.as_ref().unwrap().0 < start, "the client has read nothing");
        theirs.read_exact(&mut [0; MESSAGE_BYTES]).unwrap();
        assert!(!outbox.is_stalled(&stream, Duration::from_secs(3600)), "the limit restarts");
        let (since, _) = outbox.unread_since.as_ref().unwrap();
        assert!(*since > start, "the client has read, although its socket still counts as full");
        theirs.read_exact(&mut [0; 2 * MESSAGE_BYTES]).unwrap();
        assert!(!outbox.is_stalled(&stream, Duration::ZERO), "the client has read all messages");
        assert!(outbox.unread_since.is_none());
    }
}
