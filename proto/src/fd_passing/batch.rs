//! Sends many messages in one system call.
//!
//! Several descriptors in one `sendmsg` would all arrive with its first byte, so each message with a descriptor needs
//! its own `sendmsg`. `sendmmsg` sends many of them with one system call. On machines with mitigations, a system call
//! costs as much as the message itself. Consecutive plain messages are sent as one write: a reader that reads eight
//! bytes at a time sees no difference.

use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::io::retry_on_intr;
use rustix::net::{MMsgHdr, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmmsg};

use super::SendError;
use crate::wire::{MESSAGE_BYTES, Message, encode};

/// Room for the control data of one descriptor.
const ROOM: usize = rustix::cmsg_space!(ScmRights(1));

/// The content of one `sendmsg`: a message with its descriptor, or consecutive plain messages.
struct Segment<'fd> {
    end: usize,
    fd: Option<BorrowedFd<'fd>>,
}

/// Sends as many of the messages as the socket accepts, in order. Returns the number of bytes sent, at least one. The
/// last message may have been sent partially; its descriptor was sent with the first byte. To continue, pass that
/// message as the first one, with `sent` as the number of its bytes that were sent before; otherwise `sent` is 0.
/// Without messages, nothing is sent.
///
/// Fails only if nothing was sent. Does not wait on a non-blocking socket
/// ([sendmmsg(2)](https://man7.org/linux/man-pages/man2/sendmmsg.2.html)).
///
/// ```
/// use std::os::fd::AsFd;
/// use std::os::unix::net::UnixStream;
/// use proto::fd_passing::{Received, receive, send_batch};
/// use proto::wire::{Decoder, Message};
///
/// let (ours, theirs) = UnixStream::pair()?;
/// let input = std::io::stdin();
/// let messages = [
///     Message { value: 0, fd: None },
///     Message { value: 7, fd: None },
///     Message { value: -1, fd: Some(input.as_fd()) },
/// ];
/// assert_eq!(send_batch(&ours, &messages, 0)?, 24);
/// let mut decoder = Decoder::new();
/// for expected in messages {
///     let Received::Message(message) = receive(&theirs, &mut decoder)? else { panic!() };
///     assert_eq!((message.value, message.fd.is_some()), (expected.value, expected.fd.is_some()));
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn send_batch(socket: impl AsFd, messages: &[Message<BorrowedFd<'_>>], sent: usize) -> Result<usize, SendError> {
    let bytes: Vec<u8> = messages.iter().flat_map(|message| encode(message.value)).collect();
    let mut rooms = vec![[MaybeUninit::uninit(); ROOM]; messages.len()];
    let segments = segments(messages, sent);
    let fds: Vec<[BorrowedFd<'_>; 1]> = segments.iter().filter_map(|segment| segment.fd).map(|fd| [fd]).collect();

    let mut slices = Vec::with_capacity(segments.len());
    let mut controls = Vec::with_capacity(segments.len());
    let (mut start, mut fds) = (sent, fds.iter());
    for (segment, room) in segments.iter().zip(&mut rooms) {
        slices.push([IoSlice::new(&bytes[start..segment.end])]);
        let mut control = SendAncillaryBuffer::new(room);
        if let Some(fd) = segment.fd.and_then(|_| fds.next()) {
            control.push(SendAncillaryMessage::ScmRights(fd));
        }
        controls.push(control);
        start = segment.end;
    }
    let mut headers: Vec<_> =
        slices.iter().zip(&mut controls).map(|(slice, control)| MMsgHdr::new(slice, control)).collect();
    // The kernel stops after the first segment that was not sent completely.
    let count = retry_on_intr(|| sendmmsg(&socket, &mut headers, SendFlags::NOSIGNAL))?;
    Ok(headers[..count].iter().map(MMsgHdr::bytes_sent).sum())
}

/// Splits messages into segments. `sent` bytes and the descriptor of the first message have been sent before.
fn segments<'fd>(messages: &[Message<BorrowedFd<'fd>>], sent: usize) -> Vec<Segment<'fd>> {
    let mut segments: Vec<Segment<'fd>> = Vec::with_capacity(messages.len());
    for (index, message) in messages.iter().enumerate() {
        let end = (index + 1) * MESSAGE_BYTES;
        let fd = message.fd.filter(|_| index > 0 || sent == 0);
        match segments.last_mut() {
            Some(run) if run.fd.is_none() && fd.is_none() => run.end = end,
            _ => segments.push(Segment { end, fd }),
        }
    }
    segments
}
