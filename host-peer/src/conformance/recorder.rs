//! A client that records each message with its descriptors.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use proto::fd_passing::{Part, receive_part};
use proto::wire::MESSAGE_BYTES;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use thiserror::Error;

use client::{ClientError, deadline};

/// Messages before the first vector: version, id, memory.
pub(super) const INIT_MESSAGES: usize = 3;

/// More descriptors than any server sends.
const MAX_DESCRIPTORS: usize = 16;

/// Upper limit of messages per client.
const MAX_MESSAGES: usize = 1 << 20;

/// Why no message could be recorded.
#[derive(Debug, Error)]
pub(super) enum RecordingError {
    #[error("no message within {0:?}")]
    Silent(Duration),
    #[error(
        "the expected message did not arrive within {waited:?}, but {messages} other messages (and {bytes} bytes of another)"
    )]
    TooLate { waited: Duration, messages: usize, bytes: usize },
    #[error("the expected message is not among {MAX_MESSAGES} messages")]
    Endless,
    #[error("the server closed the connection")]
    Closed,
    #[error("the server closed the connection after {0} of a message's {MESSAGE_BYTES} bytes")]
    ClosedWithin(usize),
    #[error("a message has more than {MAX_DESCRIPTORS} descriptors")]
    TooManyDescriptors,
    #[error("a descriptor was lost: this process reached its limit of open files. Hint: raise it (ulimit -n)")]
    DescriptorLost,
    #[error("the connection failed: {0}")]
    Failed(#[from] io::Error),
}

/// A received message.
#[derive(Debug)]
pub(super) struct RecordedMessage {
    pub(super) value: i64,
    /// Number of its descriptors.
    pub(super) descriptors: usize,
    /// Descriptors that are still needed.
    pub(super) fds: Vec<OwnedFd>,
    /// The byte that carried the first descriptor, if the message was read byte by byte.
    pub(super) fd_with_byte: Option<usize>,
}

impl RecordedMessage {
    /// Whether it `is_join_notice` a vector of this peer.
    pub(super) fn is_join_notice(&self, id: i64) -> bool {
        self.value == id && self.descriptors > 0
    }

    /// Whether the message reports that this peer left.
    pub(super) fn is_leave_notice(&self, id: i64) -> bool {
        self.value == id && self.descriptors == 0
    }
}

/// Size of each read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReadSize {
    Message,
    Byte,
}

/// A connection and its received messages.
#[derive(Debug)]
pub(super) struct RecordingClient {
    stream: UnixStream,
    timeout: Duration,
    /// Deadline of the current step.
    deadline: Instant,
    /// Length of the log when the current wait began.
    log_start: usize,
    read_size: ReadSize,
    keeps_descriptors: bool,
    pub(super) log: Vec<RecordedMessage>,
}

impl RecordingClient {
    /// Connects and begins a step.
    pub(super) fn connect(socket: &Path, timeout: Duration, read_size: ReadSize) -> Result<Self, ClientError> {
        let deadline = deadline::after(timeout);
        let stream = client::connect(socket, deadline)?;
        Ok(Self { stream, timeout, deadline, log_start: 0, read_size, keeps_descriptors: true, log: Vec::new() })
    }

    /// Begins a step with a new deadline.
    pub(super) fn begin_step(&mut self) {
        self.deadline = deadline::after(self.timeout);
    }

    /// The id of this client. Valid after the init messages were checked.
    pub(super) fn id(&self) -> i64 {
        self.log.get(1).map_or(i64::MIN, |message| message.value)
    }

    /// Closes the doorbells, now and on arrival: a server may send hundreds per peer.
    pub(super) fn drop_doorbells(&mut self) {
        self.keeps_descriptors = false;
        for message in self.log.iter_mut().skip(INIT_MESSAGES) {
            message.fds.clear();
        }
    }

    /// Reads until a matching message; returns its index in the log.
    pub(super) fn read_until(&mut self, wanted: impl Fn(&RecordedMessage) -> bool) -> Result<usize, RecordingError> {
        self.log_start = self.log.len();
        loop {
            self.read_message()?;
            let index = self.log.len() - 1;
            if wanted(&self.log[index]) {
                return Ok(index);
            }
        }
    }

    /// Reads one message before the deadline.
    pub(super) fn read(&mut self) -> Result<&RecordedMessage, RecordingError> {
        self.log_start = self.log.len();
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
            let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
            let (count, received_fds) = match receive_part(&self.stream, &mut bytes[received..end], &mut room) {
                Ok(Part { count: 0, .. }) | Err(Errno::CONNRESET) if received == 0 => {
                    return Err(RecordingError::Closed);
                }
                Ok(Part { count: 0, .. }) | Err(Errno::CONNRESET) => {
                    return Err(RecordingError::ClosedWithin(received));
                }
                Err(Errno::AGAIN | Errno::INTR) => continue,
                Err(errno) => return Err(io::Error::from(errno).into()),
                // If the buffer is full, there were more descriptors. Otherwise this process reached its limit of open
                // files.
                Ok(part) if part.is_truncated && part.fds.len() >= MAX_DESCRIPTORS => {
                    return Err(RecordingError::TooManyDescriptors);
                }
                Ok(part) if part.is_truncated => return Err(RecordingError::DescriptorLost),
                Ok(part) => (part.count, part.fds),
            };
            if self.read_size == ReadSize::Byte && !received_fds.is_empty() && fd_with_byte.is_none() {
                fd_with_byte = Some(received);
            }
            fds.extend(received_fds);
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

    /// Waits until the stream is readable. Checks the deadline even if data always arrives.
    fn wait(&self, bytes: usize) -> Result<(), RecordingError> {
        loop {
            let messages = self.log.len() - self.log_start;
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
