//! One client's way out: turns its notices into messages and sends them, in order and without loss,
//! as fast as that client reads.

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

/// How long to wait when too many descriptors are under way. Nothing tells when there are fewer.
const IN_FLIGHT_PAUSE: Duration = Duration::from_millis(10);

/// How many messages go out in one system call.
const MAX_BATCH: usize = 64;

/// How many notices an idle client's queue has room for.
const IDLE_ROOM: usize = 2;

/// Why a client can be told nothing more.
#[derive(Debug)]
pub(crate) enum SendFailure {
    /// It took nothing for so long, while there was something to take.
    Stalled(Duration),
    Failed(SendError),
}

/// Sends what there is to tell until the server stops, the connection fails, or the client reads nothing for too long.
/// `news` changes whenever there may be more to tell.
pub(crate) async fn deliver(
    stream: &UnixStream,
    view: &mut ClientView,
    shared: &SharedState,
    mut news: watch::Receiver<()>,
) -> Result<(), SendFailure> {
    let mut outbox = Outbox::default();
    let mut held_up = None;
    loop {
        if outbox.notifications.is_empty() {
            news.mark_unchanged();
            let drawn = shared.registry().next_batch(view, &mut outbox.notifications);
            match drawn {
                Batch::Ready => {}
                Batch::Closed => return Ok(()),
                Batch::Empty => {
                    // Most clients have nothing to hear most of the time.
                    outbox.notifications.shrink_to(IDLE_ROOM);
                    view.stats.in_hand.store(0, Relaxed);
                    // An error means that the server is gone without stopping, and this task with it.
                    let _ = news.changed().await;
                    continue;
                }
            }
        }
        view.stats.in_hand.store(outbox.notifications.len(), Relaxed);
        match outbox.send(stream, shared) {
            Ok(messages) => {
                held_up = None;
                view.stats.messages.fetch_add(messages, Relaxed);
                shared.counters.messages.fetch_add(messages, Relaxed);
            }
            Err(SendError::WouldBlock) => wait_for_room(stream, shared.stall_deadline).await?,
            Err(SendError::TooManyInFlight) => {
                if outbox.is_stalled(stream, shared.stall_deadline) {
                    return Err(SendFailure::Stalled(shared.stall_deadline));
                }
                held_up.get_or_insert_with(|| FdLimitGuard::new(&shared.counters.held_up));
                sleep(IN_FLIGHT_PAUSE).await;
            }
            Err(error) => return Err(SendFailure::Failed(error)),
        }
    }
}

/// One that waits because too many descriptors are under way, for as long as it does.
struct FdLimitGuard<'h>(&'h AtomicU64);

impl<'h> FdLimitGuard<'h> {
    /// Counts itself; the first one says what is wrong, and the others would say the same.
    fn new(all: &'h AtomicU64) -> Self {
        if all.fetch_add(1, Relaxed) == 0 {
            warn!(
                "a client waits: the kernel counts too many descriptors that were sent and not read. End the clients that \
                 do not read, those that were cut off too, or raise the limit of open files (ulimit -Hn)"
            );
        }
        Self(all)
    }
}

impl Drop for FdLimitGuard<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// Waits until a socket that was full can be written to, for as long as its client reads anything at all.
async fn wait_for_room(stream: &UnixStream, deadline: Duration) -> Result<(), SendFailure> {
    let mut reading = ReadProgress::of(stream);
    loop {
        match timeout(deadline, stream.writable()).await {
            Ok(writable) => return writable.map_err(|error| SendFailure::Failed(SendError::Socket(error))),
            Err(_) if reading.has_advanced(stream) => {}
            Err(_) => return Err(SendFailure::Stalled(deadline)),
        }
    }
}

/// Notices that are not yet sent, the first of them perhaps in part.
#[derive(Debug, Default)]
struct Outbox {
    notifications: VecDeque<Notification>,
    /// How many vectors of the first notice are sent.
    vectors: usize,
    /// How many bytes of the next message are sent.
    bytes: usize,
    /// Since when too much is under way, and this client has read nothing of its share.
    held_up: Option<(Instant, ReadProgress)>,
}

/// A message, with what keeps its descriptor open while it is sent.
struct Outgoing {
    value: i64,
    fd: Descriptor,
}

enum Descriptor {
    None,
    Memory(Arc<OwnedFd>),
    Doorbell(Arc<[OwnedFd]>, usize),
    /// In the place of a doorbell of one that left before this client heard of all its vectors. The client counts
    /// messages, so they must come.
    Dummy,
}

impl Outbox {
    /// Sends what the socket takes of the next messages. Returns how many went out whole.
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
        // Tokio forgets that the socket is writable only if it sees the error.
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
        self.held_up = None;
        Ok(self.advance(sent, shared.vectors))
    }

    /// When too much is under way in all: whether this is one of the clients whose fault that is, for so long. Its
    /// socket need not be full; one that is at most a quarter full counts as writable.
    fn is_stalled(&mut self, stream: &UnixStream, deadline: Duration) -> bool {
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        let is_read = poll(&mut [PollFd::new(stream, PollFlags::OUT)], Some(&at_once)).is_ok_and(|ready| ready > 0);
        if is_read {
            self.held_up = None;
            return false;
        }
        let (since, reading) = self.held_up.get_or_insert_with(|| (Instant::now(), ReadProgress::of(stream)));
        if reading.has_advanced(stream) {
            *since = Instant::now();
        }
        since.elapsed() >= deadline
    }

    /// The messages of the first notices.
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

    /// Takes out what was sent. Returns how many messages are whole now.
    fn advance(&mut self, sent: usize, vectors: u16) -> u64 {
        let bytes = self.bytes + sent;
        let messages = bytes / MESSAGE_BYTES;
        self.bytes = bytes % MESSAGE_BYTES;
        let mut left = messages;
        while left > 0 {
            let of_first = match self.notifications.front() {
                Some(Notification::Doorbells(_)) => usize::from(vectors) - self.vectors,
                Some(_) => 1,
                None => break,
            };
            if left < of_first {
                self.vectors += left;
                break;
            }
            left -= of_first;
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
        let gone: Arc<[OwnedFd]> = Arc::new([new_eventfd().unwrap()]);
        let eventfds: Weak<[OwnedFd]> = Arc::downgrade(&gone);
        Notification::Doorbells(Doorbells { peer: PeerId(peer), eventfds })
    }

    #[test]
    fn whatever_the_socket_takes_each_byte_goes_out_once() {
        let all: Vec<i64> = [0, 9, -1].into_iter().chain([3; 5]).chain([7]).chain([4; 5]).collect();
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
            let (mut stream, mut whole) = (Vec::new(), 0);
            while !outbox.notifications.is_empty() {
                let next: Vec<u8> =
                    outbox.next_messages(5).iter().flat_map(|message| wire::encode(message.value)).collect();
                let rest = &next[outbox.bytes..];
                let taken = &rest[..take.min(rest.len())];
                stream.extend_from_slice(taken);
                whole += outbox.advance(taken.len(), 5);
            }
            let expected: Vec<u8> = all.iter().flat_map(|&value| wire::encode(value)).collect();
            assert_eq!((stream, whole), (expected, 14), "{take} bytes at a time");
        }
    }

    #[test]
    fn one_that_reads_a_little_is_waited_for_and_one_that_reads_nothing_is_not() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (ours, mut theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        runtime.block_on(async {
            let stream = UnixStream::from_std(ours).unwrap();
            crate::clients::fd_budget::set_send_buffer(&stream, 64);
            stream.writable().await.unwrap();
            while stream.try_write(&[0; MESSAGE_BYTES]).is_ok() {}
            let stalled = wait_for_room(&stream, Duration::from_millis(20)).await;
            assert!(matches!(stalled, Err(SendFailure::Stalled(_))));
            // One message: by far not what makes the socket writable.
            let mut reading = ReadProgress::of(&stream);
            assert!(!reading.has_advanced(&stream), "it has read nothing yet");
            theirs.read_exact(&mut [0; MESSAGE_BYTES]).unwrap();
            assert!(reading.has_advanced(&stream));
            assert!(!reading.has_advanced(&stream), "nothing more since");
            let period = Duration::from_millis(20);
            let reading_slowly = async {
                loop {
                    // In one thread, so that it is never later than the look at it.
                    sleep(period / 4).await;
                    theirs.read_exact(&mut [0; MESSAGE_BYTES]).unwrap();
                }
            };
            tokio::select! {
                // Where both are late, on a busy machine.
                biased;
                never = reading_slowly => never,
                waited = wait_for_room(&stream, period) => assert!(waited.is_ok(), "{waited:?}"),
            }
        });
    }

    #[test]
    fn of_too_much_under_way_only_those_are_at_fault_who_leave_it_unread_for_long() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _context = runtime.enter();
        let (ours, mut theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let mut sender = ours.try_clone().unwrap();
        let stream = UnixStream::from_std(ours).unwrap();
        crate::clients::fd_budget::set_send_buffer(&stream, 6);
        let mut outbox = Outbox::default();
        assert!(!outbox.is_stalled(&stream, Duration::ZERO), "there is nothing to read");
        for _ in 0..3 {
            sender.write_all(&[0; MESSAGE_BYTES]).unwrap();
        }
        assert!(!outbox.is_stalled(&stream, Duration::MAX), "it has time yet");
        assert!(outbox.is_stalled(&stream, Duration::ZERO));
        let begun = Instant::now();
        assert!(!outbox.is_stalled(&stream, Duration::MAX));
        assert!(outbox.held_up.as_ref().unwrap().0 < begun, "it has read nothing");
        theirs.read_exact(&mut [0; MESSAGE_BYTES]).unwrap();
        assert!(!outbox.is_stalled(&stream, Duration::from_secs(3600)), "its time begins anew");
        let (since, _) = outbox.held_up.as_ref().unwrap();
        assert!(*since > begun, "it has read something, although its socket counts as full");
        theirs.read_exact(&mut [0; 2 * MESSAGE_BYTES]).unwrap();
        assert!(!outbox.is_stalled(&stream, Duration::ZERO), "it has read all");
        assert!(outbox.held_up.is_none());
    }
}
