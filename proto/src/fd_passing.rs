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

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, recvmsg};
use sendfd::SendWithFd;
use thiserror::Error;

pub use batch::send_batch;

use crate::wire::{DecodeError, Decoder, MESSAGE_BYTES, Message, encode};

/// Room for more descriptors than a message may carry, to distinguish extra descriptors from truncation.
const DESCRIPTOR_ROOM: usize = 4;

/// Why a message could not be sent.
#[derive(Debug, Error)]
pub enum SendError {
    /// The non-blocking socket's buffer is full. Nothing of the message was sent.
    #[error("the socket's buffer is full")]
    WouldBlock,
    /// The peer has closed the connection.
    #[error("the other end of the socket is closed")]
    Disconnected,
    /// The user has more descriptors in flight than its descriptor limit allows. Nothing was sent.
    #[error("too many descriptors are on their way to receivers that do not read them")]
    TooManyInFlight,
    /// Any other error.
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
    /// The bytes are not a sequence of messages.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// Any other error.
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
/// A message is sent completely or not at all: if a non-blocking socket accepts only a part, this function waits until
/// it accepts the rest. The process must ignore SIGPIPE, as every Rust program does.
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
    let bytes = encode(value);
    let fd = fd.map(|fd| fd.as_raw_fd());
    let mut sent = 0;
    while sent < MESSAGE_BYTES {
        // The descriptor is sent with the first byte only.
        let fds = if sent == 0 { fd.as_slice() } else { &[] };
        match socket.send_with_fd(&bytes[sent..], fds) {
            Ok(count) => sent += count,
            Err(error) => match Errno::from_io_error(&error) {
                Some(Errno::INTR) => {}
                Some(Errno::AGAIN) if sent > 0 => wait_until_writable(socket)?,
                Some(errno) => return Err(errno.into()),
                None => return Err(SendError::Socket(error)),
            },
        }
    }
    Ok(())
}

fn wait_until_writable(socket: &UnixStream) -> Result<(), SendError> {
    match poll(&mut [PollFd::new(socket, PollFlags::OUT)], None) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(errno) => Err(SendError::Socket(errno.into())),
    }
}

/// Receives up to the end of one message
/// ([recvmsg(2)](https://man7.org/linux/man-pages/man2/recvmsg.2.html)).
///
/// The decoder keeps a partial message from one call to the next, so each connection needs its own decoder.
pub fn receive(socket: &UnixStream, decoder: &mut Decoder<OwnedFd>) -> Result<Received, ReceiveError> {
    let mut bytes = [0; MESSAGE_BYTES];
    loop {
        let (count, fd) = match receive_part(socket, &mut bytes[..decoder.wanted()]) {
            Ok(part) => part,
            Err(PartError::Errno(Errno::INTR)) => continue,
            Err(PartError::Errno(Errno::AGAIN)) => return Ok(Received::NotYet),
            // The peer closed the connection with unread bytes from this side. Treated like a normal close.
            Err(PartError::Errno(Errno::CONNRESET)) => (0, None),
            Err(PartError::Errno(errno)) => return Err(ReceiveError::Socket(errno.into())),
            Err(PartError::Descriptors(error)) => return Err(error),
        };
        if count == 0 {
            decoder.finish()?;
            return Ok(Received::Closed);
        }
        if let Some(message) = decoder.feed(&bytes[..count], fd)? {
            return Ok(Received::Message(message));
        }
    }
}

enum PartError {
    Errno(Errno),
    Descriptors(ReceiveError),
}

/// One recvmsg call: the number of bytes, and the descriptor, if any.
fn receive_part(socket: &UnixStream, bytes: &mut [u8]) -> Result<(usize, Option<OwnedFd>), PartError> {
    let mut room = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTOR_ROOM))];
    let mut control = RecvAncillaryBuffer::new(&mut room);
    let flags = RecvFlags::CMSG_CLOEXEC;
    let received = recvmsg(socket, &mut [IoSliceMut::new(bytes)], &mut control, flags).map_err(PartError::Errno)?;
    // Owned before the checks, so every return closes them.
    let mut fds: Vec<OwnedFd> = control
        .drain()
        .filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(fds) => Some(fds),
            _ => None,
        })
        .flatten()
        .collect();
    if received.flags.contains(ReturnFlags::CTRUNC) {
        return Err(PartError::Descriptors(ReceiveError::DescriptorLost));
    }
    if fds.len() > 1 {
        let error = ReceiveError::TooManyDescriptors(fds.len());
        return Err(PartError::Descriptors(error));
    }
    Ok((received.bytes, fds.pop()))
}
