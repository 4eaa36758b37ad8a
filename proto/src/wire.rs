//! The client-server protocol's messages, version 0.
//!
//! Each message is one signed 64-bit little-endian number, accompanied by at most one file
//! descriptor. It flows from server to client only. What the numbers mean, and in which order they
//! may come, is the business of [`session`](crate::session); how a descriptor travels, that of
//! [`fd_passing`](crate::fd_passing). Nothing here touches a socket: the descriptor's type is a
//! parameter.
//!
//! Source: "Client-Server protocol" in QEMU's `docs/specs/ivshmem-spec.rst`.

use std::fmt;

use thiserror::Error;

/// The only version of the protocol there is; the first number a server sends.
pub const PROTOCOL_VERSION: i64 = 0;

/// The number that accompanies the shared memory's descriptor.
pub const MEMORY: i64 = -1;

/// What this project's server sends in the place of the version to a client that it cannot take in,
/// before it closes the connection. A client that knows only version 0 ends with a plain error, where
/// a bare end of the stream makes QEMU's device loop endlessly.
pub const REFUSAL: i64 = -1;

/// All that a refused client is sent: the refusal in the place of the version, of the client's id and of the memory. A client
/// that ignores the version, as QEMU's `ivshmem-flat` does, ends at the third one, which lacks the descriptor.
pub const REFUSAL_MESSAGES: [i64; 3] = [REFUSAL; 3];

/// The length of every message.
pub const MESSAGE_BYTES: usize = size_of::<i64>();

/// The number a server gives to one of its clients, and the address of a doorbell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId(pub u16);

impl PeerId {
    /// The number that stands for this peer on the wire.
    #[must_use]
    pub fn to_wire(self) -> i64 {
        i64::from(self.0)
    }

    /// The peer that a number on the wire stands for; `None` outside of 0..=65535.
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

/// The index of one of a peer's interrupt vectors. It never crosses the wire: it is the count of
/// the messages that named the peer before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Vector(pub u16);

impl fmt::Display for Vector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One message with the descriptor that came with it, if any.
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
pub enum DecodeError {
    /// Two descriptors came with one message.
    #[error("a message came with a second descriptor, but each may carry only one")]
    SecondDescriptor,
    /// The stream ended within a message.
    #[error("the stream ended after {received} of a message's {MESSAGE_BYTES} bytes")]
    EndWithinMessage {
        /// How many bytes of it had come.
        received: usize,
    },
    /// The caller read more than [`Decoder::wanted`] bytes. The message of a descriptor is then unknown.
    #[error("{given} bytes were read where the current message lacks only {wanted}")]
    Overread {
        /// How many bytes were handed in.
        given: usize,
        /// How many the current message lacked.
        wanted: usize,
    },
}

/// Puts messages together from what single reads of the stream return.
///
/// A read must ask for no more than [`wanted`](Self::wanted) bytes. The kernel would otherwise merge
/// plain messages with the next one that has a descriptor, and the descriptor's message would be unknown. When
/// the eight bytes come in parts, the descriptor comes with the first, and is kept until the last.
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

    /// How many bytes the current message lacks, from 1 to [`MESSAGE_BYTES`].
    #[must_use]
    pub fn wanted(&self) -> usize {
        MESSAGE_BYTES - self.received
    }

    /// Takes what one read returned. After an error the stream is of no more use.
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

    /// To be asked at the end of the stream: whether it ended between two messages.
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
