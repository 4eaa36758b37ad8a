//! Messages with descriptors over a UNIX stream socket.
//!
//! A descriptor is sent with the bytes as `SCM_RIGHTS` control data
//! ([unix(7)](https://man7.org/linux/man-pages/man7/unix.7.html)). For sending, it is borrowed: the sender keeps its
//! own. A received descriptor is owned and close-on-exec. Truncated control data means that a descriptor was lost, and
//! every later vector would be numbered wrongly. This is an error, and the descriptors that did arrive are closed.
//!
//! On a non-blocking socket, the functions report when they would block: [`SendError::WouldBlock`] and
//! [`Received::NotYet`].

mod batch;

use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::io::{Errno, retry_on_intr};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, recvmsg};
use sendfd::SendWithFd;
use thiserror::Error;

pub use batch::send_batch;

use crate::wire::{DecodeError, Decoder, MESSAGE_BYTES, Message, encode};

/// Room for more descriptors than a message may carry, to distinguish extra descriptors from truncation.
const DESCRIPTOR_ROOM: usize = 4;

/// Why a message could not be sent.
#[derive(Debug, Error)]
#[expect(missing_docs, reason = "the texts describe the errors")]
pub enum SendError {
    /// The non-blocking socket's buffer is full. Nothing of the message was sent.
    #[error("the socket's buffer is full")]
    WouldBlock,
    #[error("the other end of the socket is closed")]
    Disconnected,
    /// The user has more descriptors in flight than its descriptor limit allows. Nothing was sent.
    #[error("too many descriptors are on their way to receivers that do not read them")]
    TooManyInFlight,
    #[error("cannot send on the socket")]
    Socket(#[source] io::Error),
}

impl From<Errno> for SendError {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::AGAIN => Self::WouldBlock,
            Errno::PIPE | Errno::CONNRESET => Self::Disconnected,
            Errno::TOOMANYREFS => Self::TooManyInFlight,
            other => Self::Socket(other.into()),
        }
    }
}

/// Why a message could not be received. The connection cannot be used further.
#[derive(Debug, Error)]
#[expect(missing_docs, reason = "the texts describe the errors")]
pub enum ReceiveError {
    /// Control data was truncated, and a descriptor was lost.
    #[error(
        "a descriptor was lost on the way: control data was cut off; \
         if this process is at its limit of open files, raise it (ulimit -n)"
    )]
    DescriptorLost,
    /// A single read returned more than one descriptor.
    #[error("a message came with {0} descriptors, but each may carry only one")]
    TooManyDescriptors(usize),
    #[error(transparent)]
    Decode(#[from] DecodeError),
    #[error("cannot receive from the socket")]
    Socket(#[source] io::Error),
}

/// The result of [`receive`].
#[derive(Debug)]
pub enum Received {
    /// A complete message.
    Message(Message<OwnedFd>),
    /// The non-blocking socket has not received a complete message yet.
    NotYet,
    /// The peer closed the connection between two messages.
    Closed,
}

/// Sends one message, with at most one descriptor
/// ([sendmsg(2)](https://man7.org/linux/man-pages/man2/sendmsg.2.html)).
///
/// A message is sent completely or not at all: the kernel does not split eight bytes. The process must ignore SIGPIPE,
/// as every Rust program does.
///
/// ```
/// use std::os::fd::AsFd;
/// use std::os::unix::net::UnixStream;
/// use proto::fd_passing::{Received, receive, send};
/// use proto::wire::Decoder;
///
/// let (ours, theirs) = UnixStream::pair()?;
/// send(&ours, -1, Some(std::io::stdin().as_fd()))?;
/// let Received::Message(message) = receive(&theirs, &mut Decoder::new())? else { panic!() };
/// assert_eq!(message.value, -1);
/// assert!(message.fd.is_some());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn send(socket: &UnixStream, value: i64, fd: Option<BorrowedFd<'_>>) -> Result<(), SendError> {
    let fd = fd.map(|fd| fd.as_raw_fd());
    let send = || socket.send_with_fd(&encode(value), fd.as_slice());
    retry_on_intr(|| send().map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO)))?;
    Ok(())
}

/// Receives up to the end of one message.
///
/// The decoder keeps a partial message from one call to the next, so each connection needs its own decoder.
pub fn receive(socket: &UnixStream, decoder: &mut Decoder<OwnedFd>) -> Result<Received, ReceiveError> {
    let mut bytes = [0; MESSAGE_BYTES];
    loop {
        let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTOR_ROOM))];
        let mut part = match receive_part(socket, &mut bytes[..decoder.wanted()], &mut room) {
            Ok(part) => part,
            Err(Errno::INTR) => continue,
            Err(Errno::AGAIN) => return Ok(Received::NotYet),
            // The peer closed the connection with unread bytes from this side. Treated like a normal close.
            Err(Errno::CONNRESET) => Part { count: 0, fds: Vec::new(), is_truncated: false },
            Err(errno) => return Err(ReceiveError::Socket(errno.into())),
        };
        if part.is_truncated {
            return Err(ReceiveError::DescriptorLost);
        }
        if part.fds.len() > 1 {
            return Err(ReceiveError::TooManyDescriptors(part.fds.len()));
        }
        if part.count == 0 {
            decoder.finish()?;
            return Ok(Received::Closed);
        }
        if let Some(message) = decoder.feed(&bytes[..part.count], part.fds.pop())? {
            return Ok(Received::Message(message));
        }
    }
}

/// The result of one read.
#[derive(Debug)]
pub struct Part {
    /// The number of bytes.
    pub count: usize,
    /// The descriptors, which are closed if the part is dropped.
    pub fds: Vec<OwnedFd>,
    /// Whether a descriptor was lost: it exceeded `room`, or this process's limit of open files.
    pub is_truncated: bool,
}

/// Calls [recvmsg(2)](https://man7.org/linux/man-pages/man2/recvmsg.2.html) once, with `room` for control data.
pub fn receive_part(socket: &UnixStream, bytes: &mut [u8], room: &mut [MaybeUninit<u8>]) -> Result<Part, Errno> {
    let mut control = RecvAncillaryBuffer::new(room);
    let received = recvmsg(socket, &mut [IoSliceMut::new(bytes)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let rights = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(fds) => Some(fds),
        _ => None,
    });
    let fds = rights.flatten().collect();
    Ok(Part { count: received.bytes, fds, is_truncated: received.flags.contains(ReturnFlags::CTRUNC) })
}
