//! The messages of the client-server protocol, version 0.
//!
//! Each message is one signed 64-bit little-endian number, with at most one file descriptor. Messages flow from server
//! to client only. [`session`](crate::session) defines the meaning and order of the numbers, and
//! [`fd_passing`](crate::fd_passing) transfers the descriptors. This module does not use sockets: the type of the
//! descriptor is a parameter.
//!
//! Source: "Client-Server protocol" in QEMU's `docs/specs/ivshmem-spec.rst`.

use std::fmt;

use thiserror::Error;

/// The only protocol version. It is the first number that a server sends.
pub const PROTOCOL_VERSION: i64 = 0;

/// The number that accompanies the shared memory's descriptor.
pub const MEMORY: i64 = -1;

/// Sent by this project's server instead of the version to a client that it rejects, before it closes the connection. A
/// client that supports only version 0 then ends with an error. Without this number, QEMU's device would loop endlessly
/// at the end of the stream.
pub const REFUSAL: i64 = -1;

/// All numbers sent to a rejected client: the refusal in place of the version, the client's id and the memory. A client
/// that ignores the version, as QEMU's `ivshmem-flat` does, ends at the third number, which lacks the descriptor.
pub const REFUSAL_MESSAGES: [i64; 3] = [REFUSAL; 3];

/// The length of every message.
pub const MESSAGE_BYTES: usize = size_of::<i64>();

/// The number that a server assigns to a client. It is also the address of the client's doorbells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId(pub u16);

impl PeerId {
    /// The number of this peer in messages.
    #[must_use]
    pub fn to_wire(self) -> i64 {
        i64::from(self.0)
    }

    /// The peer with this number; `None` outside 0..=65535.
    #[must_use]
    pub fn from_wire(value: i64) -> Option<Self> {
        u16::try_from(value).ok().map(Self)
    }
}

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The index of one of a peer's interrupt vectors. It is not sent: it is the number of earlier messages with the peer's
/// id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Vector(pub u16);

impl fmt::Display for Vector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One message with its descriptor, if any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message<F> {
    /// The number.
    pub value: i64,
    /// The descriptor.
    pub fd: Option<F>,
}

/// The bytes of a message that carries `value`.
#[must_use]
pub fn encode(value: i64) -> [u8; MESSAGE_BYTES] {
    value.to_le_bytes()
}

/// The stream is not a sequence of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[expect(missing_docs, reason = "the texts describe the errors")]
pub enum DecodeError {
    #[error("a message came with a second descriptor, but each may carry only one")]
    SecondDescriptor,
    #[error("the stream ended after {received} of a message's {MESSAGE_BYTES} bytes")]
    EndWithinMessage { received: usize },
    /// The caller read more than [`Decoder::wanted`] bytes, so the message of a descriptor is unknown.
    #[error("{given} bytes were read where the current message lacks only {wanted}")]
    Overread { given: usize, wanted: usize },
}

/// Assembles messages from the results of single reads of the stream.
///
/// A read must request at most [`wanted`](Self::wanted) bytes. Otherwise the kernel would merge plain messages with the
/// next one that has a descriptor, and the descriptor's message would be unknown. If the eight bytes arrive in parts,
/// the descriptor arrives with the first part and is kept until the last.
///
/// ```
/// use proto::wire::{Decoder, encode};
///
/// let mut decoder = Decoder::new();
/// let bytes = encode(-1);
/// assert_eq!(decoder.feed(&bytes[..3], Some("memory")), Ok(None));
/// assert_eq!(decoder.wanted(), 5);
/// let message = decoder.feed(&bytes[3..], None)?.expect("eight bytes are a message");
/// assert_eq!((message.value, message.fd), (-1, Some("memory")));
/// # Ok::<(), proto::wire::DecodeError>(())
/// ```
#[derive(Debug)]
pub struct Decoder<F> {
    bytes: [u8; MESSAGE_BYTES],
    received: usize,
    fd: Option<F>,
}

impl<F> Decoder<F> {
    /// A decoder at the start of a message.
    #[must_use]
    pub fn new() -> Self {
        Self { bytes: [0; MESSAGE_BYTES], received: 0, fd: None }
    }

    /// The number of bytes missing in the current message, from 1 to [`MESSAGE_BYTES`].
    #[must_use]
    pub fn wanted(&self) -> usize {
        MESSAGE_BYTES - self.received
    }

    /// Processes the result of one read. After an error, the stream cannot be used further.
    pub fn feed(&mut self, bytes: &[u8], fd: Option<F>) -> Result<Option<Message<F>>, DecodeError> {
        let wanted = self.wanted();
        if bytes.len() > wanted {
            return Err(DecodeError::Overread { given: bytes.len(), wanted });
        }
        if fd.is_some() && self.fd.is_some() {
            return Err(DecodeError::SecondDescriptor);
        }
        self.fd = self.fd.take().or(fd);
        self.bytes[self.received..][..bytes.len()].copy_from_slice(bytes);
        self.received += bytes.len();
        if self.received < MESSAGE_BYTES {
            return Ok(None);
        }
        self.received = 0;
        Ok(Some(Message { value: i64::from_le_bytes(self.bytes), fd: self.fd.take() }))
    }

    /// Call at the end of the stream. Fails if the stream ended within a message.
    pub fn finish(&self) -> Result<(), DecodeError> {
        match self.received {
            0 => Ok(()),
            received => Err(DecodeError::EndWithinMessage { received }),
        }
    }
}

impl<F> Default for Decoder<F> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_little_endian() {
        assert_eq!(encode(0x0102), [2, 1, 0, 0, 0, 0, 0, 0]);
        assert_eq!(encode(MEMORY), [0xff; MESSAGE_BYTES]);
    }

    #[test]
    fn peer_id_has_sixteen_bits() {
        assert_eq!(PeerId::from_wire(65_535), Some(PeerId(65_535)));
        assert_eq!(PeerId::from_wire(65_536), None);
        assert_eq!(PeerId::from_wire(-1), None);
    }

    #[test]
    fn refuses_second_descriptor_in_a_message() {
        let mut decoder = Decoder::new();
        assert_eq!(decoder.feed(&[0; 4], Some('a')), Ok(None));
        assert_eq!(decoder.feed(&[0; 4], Some('b')), Err(DecodeError::SecondDescriptor));
    }

    #[test]
    fn refuses_more_bytes_than_wanted() {
        let mut decoder = Decoder::<()>::new();
        assert_eq!(decoder.feed(&[0; 6], None), Ok(None));
        let error = decoder.feed(&[0; 3], None);
        let (given, wanted) = (3, 2);
        assert_eq!(error, Err(DecodeError::Overread { given, wanted }));
    }

    #[test]
    fn detects_end_within_a_message() {
        let mut decoder = Decoder::<()>::new();
        assert_eq!(decoder.finish(), Ok(()));
        assert_eq!(decoder.feed(&[0; 5], None), Ok(None));
        let received = 5;
        assert_eq!(decoder.finish(), Err(DecodeError::EndWithinMessage { received }));
    }
}
