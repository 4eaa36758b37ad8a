//! A client that judges nothing: it writes down each message with all of its descriptors.

use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use proto::wire::MESSAGE_BYTES;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, recvmsg};
use thiserror::Error;

use super::handshake::INIT_MESSAGES;
use client::{ClientError, deadline};

/// Room for more descriptors than anybody sends.
const DESCRIPTOR_ROOM: usize = 16;

/// More messages than a client is told by any server that can be examined, and no more than memory has room for.
const MAX_MESSAGES: usize = 1 << 20;

/// Why nothing more came.
#[derive(Debug, Error)]
pub(super) enum RecordingError {
    #[error("nothing came within {0:?}")]
    Silent(Duration),
    #[error(
        "within {waited:?} came {messages} other messages (and {bytes} bytes of one more), and not what was to come"
    )]
    TooLate { waited: Duration, messages: usize, bytes: usize },
    #[error("more than {MAX_MESSAGES} messages came, and not what was to come")]
    Endless,
    #[error("the server closed the connection")]
    Closed,
    #[error("the server closed the connection after {0} of a message's {MESSAGE_BYTES} bytes")]
    ClosedWithin(usize),
    #[error("one came with more than {DESCRIPTOR_ROOM}")]
    TooManyDescriptors,
    #[error("a descriptor was lost, because too few may be open here: raise the limit (ulimit -n)")]
    DescriptorLost,
    #[error("the connection failed: {0}")]
    Failed(#[from] io::Error),
}

/// A message, as it came.
#[derive(Debug)]
pub(super) struct RecordedMessage {
    pub(super) value: i64,
    /// How many descriptors came with it.
    pub(super) descriptors: usize,
    /// Those of them that are still wanted.
    pub(super) fds: Vec<OwnedFd>,
    /// With which byte the first descriptor came, if one came and the bytes were read one by one.
    pub(super) fd_with_byte: Option<usize>,
}

impl RecordedMessage {
    /// Whether it is_join_notice a vector of this peer.
    pub(super) fn is_join_notice(&self, id: i64) -> bool {
        self.value == id && self.descriptors > 0
    }

    /// Whether it says that this peer left.
    pub(super) fn is_leave_notice(&self, id: i64) -> bool {
        self.value == id && self.descriptors == 0
    }
}

/// How much to read at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReadSize {
    Message,
    Byte,
}

/// A connection, and all that came through it.
#[derive(Debug)]
pub(super) struct RecordingClient {
    stream: UnixStream,
    timeout: Duration,
    /// When the step that began last is over, whatever comes until then.
    deadline: Instant,
    /// How long the log was when what is waited for was not there yet.
    seen_before: usize,
    read_size: ReadSize,
    keeps_descriptors: bool,
    pub(super) log: Vec<RecordedMessage>,
}

impl RecordingClient {
    /// Connects, which begins a step.
    pub(super) fn connect(socket: &Path, timeout: Duration, read_size: ReadSize) -> Result<Self, ClientError> {
        let deadline = deadline::after(timeout);
        let stream = client::connect(socket, deadline)?;
        Ok(Self { stream, timeout, deadline, seen_before: 0, read_size, keeps_descriptors: true, log: Vec::new() })
    }

    /// Begins a step, for all of which there is the time that one step may take.
    pub(super) fn begin_step(&mut self) {
        self.deadline = deadline::after(self.timeout);
    }

    /// The id that the server gave to this client. To be asked after the greeting was judged.
    pub(super) fn id(&self) -> i64 {
        self.log.get(1).map_or(i64::MIN, |message| message.value)
    }

    /// Closes the descriptors of doorbells, now and as more of them come: a server may have hundreds for each peer.
    pub(super) fn drop_doorbells(&mut self) {
        self.keeps_descriptors = false;
        for message in self.log.iter_mut().skip(INIT_MESSAGES) {
            message.fds.clear();
        }
    }

    /// Reads until a message of this kind; its index in the log.
    pub(super) fn read_until(&mut self, wanted: impl Fn(&RecordedMessage) -> bool) -> Result<usize, RecordingError> {
        self.seen_before = self.log.len();
        loop {
            self.read_message()?;
            let index = self.log.len() - 1;
            if wanted(&self.log[index]) {
                return Ok(index);
            }
        }
    }

    /// Reads one message, before the step is over.
    pub(super) fn read(&mut self) -> Result<&RecordedMessage, RecordingError> {
        self.seen_before = self.log.len();
        self.read_message()
    }

    fn read_message(&mut self) -> Result<&RecordedMessage, RecordingError> {
        if self.log.len() == MAX_MESSAGES {
            return Err(RecordingError::Endless);
        }
        let mut bytes = [0; MESSAGE_BYTES];
        let (mut received, mut fds, mut fd_with_byte) = (0, Vec::new(), None);
        while received < MESSAGE_BYTES {
            let end = if self.read_size == ReadSize::Byte { received + 1 } else { MESSAGE_BYTES };
            self.wait(received)?;
            let (count, came) = match receive(&self.stream, &mut bytes[received..end]) {
                Ok(Part { count: 0, .. }) | Err(Errno::CONNRESET) if received == 0 => {
                    return Err(RecordingError::Closed);
                }
                Ok(Part { count: 0, .. }) | Err(Errno::CONNRESET) => {
                    return Err(RecordingError::ClosedWithin(received));
                }
                Err(Errno::AGAIN | Errno::INTR) => continue,
                Err(errno) => return Err(io::Error::from(errno).into()),
                // Where all the room is taken, there were more. Otherwise this process may open no more.
                Ok(part) if part.cut_off && part.fds.len() >= DESCRIPTOR_ROOM => {
                    return Err(RecordingError::TooManyDescriptors);
                }
                Ok(part) if part.cut_off => return Err(RecordingError::DescriptorLost),
                Ok(part) => (part.count, part.fds),
            };
            if self.read_size == ReadSize::Byte && !came.is_empty() && fd_with_byte.is_none() {
                fd_with_byte = Some(received);
            }
            fds.extend(came);
            received += count;
        }
        let index = self.log.len();
        let descriptors = fds.len();
        if index >= INIT_MESSAGES && !self.keeps_descriptors {
            fds.clear();
        }
        self.log.push(RecordedMessage { value: i64::from_le_bytes(bytes), descriptors, fds, fd_with_byte });
        Ok(&self.log[index])
    }

    /// Waits until there is something to read. Also looks at the time where there always is.
    fn wait(&self, bytes: usize) -> Result<(), RecordingError> {
        loop {
            let messages = self.log.len() - self.seen_before;
            let is_over = Instant::now() >= self.deadline;
            if is_over && (messages, bytes) != (0, 0) {
                return Err(RecordingError::TooLate { waited: self.timeout, messages, bytes });
            }
            match poll(&mut [PollFd::new(&self.stream, PollFlags::IN)], Some(&deadline::remaining(self.deadline))) {
                Ok(0) if is_over => return Err(RecordingError::Silent(self.timeout)),
                Ok(0) | Err(Errno::INTR) => {}
                Ok(_) => return Ok(()),
                Err(errno) => return Err(io::Error::from(errno).into()),
            }
        }
    }
}

/// What one read brought.
struct Part {
    count: usize,
    fds: Vec<OwnedFd>,
    /// Whether there was no room for a descriptor.
    cut_off: bool,
}

/// See [recvmsg(2)](https://man7.org/linux/man-pages/man2/recvmsg.2.html). All descriptors, where
/// [`proto::fd_passing`] would refuse more than one.
fn receive(stream: &UnixStream, bytes: &mut [u8]) -> Result<Part, Errno> {
    let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTOR_ROOM))];
    let mut control = RecvAncillaryBuffer::new(&mut room);
    let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
    let received = recvmsg(stream, &mut [IoSliceMut::new(bytes)], &mut control, flags)?;
    let rights = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(fds) => Some(fds),
        _ => None,
    });
    let fds = rights.flatten().collect();
    Ok(Part { count: received.bytes, fds, cut_off: received.flags.contains(ReturnFlags::CTRUNC) })
}
