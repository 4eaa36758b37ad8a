//! The client's side of the protocol as a pure state machine.
//!
//! A server sends, in this order: the version; the client's own id; the shared memory; for each peer that is already
//! present, its id once per vector, each with an eventfd; the client's own id once per vector, each with an eventfd.
//! After that it sends the id of each peer that joins, once per vector with an eventfd, and the id of each peer that
//! leaves, without a descriptor.
//!
//! The machine is strict. A vector's index is the number of earlier messages with the same id, so a client that ignored
//! an error would ring wrong doorbells. The number of vectors of a peer is not part of the protocol. Missing vectors
//! and the end of the handshake cannot be detected.

use std::collections::{BTreeMap, BTreeSet};

use thiserror::Error;

use crate::wire::{MEMORY, PROTOCOL_VERSION, PeerId, REFUSAL, Vector};

/// The meaning of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the variants describe their fields")]
pub enum Event<F> {
    /// The server speaks the same version of the protocol.
    VersionAgreed,
    /// The server accepted the client with this id.
    Joined(PeerId),
    /// The shared memory.
    Memory(F),
    /// The eventfd that wakes this client for one of its own vectors.
    OwnVector { vector: Vector, fd: F },
    /// The eventfd that rings a vector of a peer. Vector 0 means that the peer joined.
    PeerVector { peer: PeerId, vector: Vector, fd: F },
    /// A peer left. Its id is not used again on this connection.
    PeerLeft(PeerId),
}

/// A message that the protocol does not allow. The connection cannot be used further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[expect(missing_docs, reason = "the texts describe the errors")]
pub enum SessionError {
    #[error("expected protocol version {PROTOCOL_VERSION}, got {0}")]
    WrongVersion(i64),
    #[error("expected protocol version {PROTOCOL_VERSION}, got a refusal; see the server's log")]
    Refused,
    #[error("expected the protocol version without a descriptor, got one with it")]
    VersionWithDescriptor,
    #[error("expected the client's own id, from 0 to 65535, got {0}")]
    OwnIdOutOfRange(i64),
    #[error("expected the client's own id without a descriptor, got {0} with one")]
    OwnIdWithDescriptor(PeerId),
    #[error("expected {MEMORY} with the shared memory's descriptor, got {0}")]
    MemoryExpected(i64),
    #[error("expected {MEMORY} with the shared memory's descriptor, got it without one")]
    MemoryWithoutDescriptor,
    #[error("expected the id of a peer, from 0 to 65535, got {0}")]
    PeerIdOutOfRange(i64),
    #[error("expected an eventfd with the client's own id {0}, got none")]
    OwnVectorWithoutDescriptor(PeerId),
    #[error("expected a present peer's id or an eventfd, got {0} without one, which is not present")]
    UnknownPeerLeft(PeerId),
    #[error("expected an id that this client was not notified of before, got {0}, whose peer has left")]
    IdReused(PeerId),
    #[error("expected at most 65536 vectors of peer {0}, got one more")]
    TooManyVectors(PeerId),
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Expecting {
    #[default]
    Version,
    OwnId,
    Memory(PeerId),
    Peers(PeerId),
}

/// The state of one connection.
///
/// ```
/// use proto::session::{Event, Session};
/// use proto::wire::{PeerId, Vector};
///
/// let mut session = Session::new();
/// assert_eq!(session.feed(0, None::<&str>), Ok(Event::VersionAgreed));
/// assert_eq!(session.feed(7, None::<&str>), Ok(Event::Joined(PeerId(7))));
/// assert_eq!(session.feed(-1, Some("memory")), Ok(Event::Memory("memory")));
/// let vector = Vector(0);
/// assert_eq!(session.feed(7, Some("bell")), Ok(Event::OwnVector { vector, fd: "bell" }));
/// ```
#[derive(Debug, Default)]
pub struct Session {
    expecting: Expecting,
    /// The number of announced vectors of each present peer, including the client itself.
    vectors: BTreeMap<PeerId, u32>,
    departed: BTreeSet<PeerId>,
}

impl Session {
    /// A connection before its first message.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the meaning of a message. The descriptor of an invalid message is closed.
    pub fn feed<F>(&mut self, value: i64, fd: Option<F>) -> Result<Event<F>, SessionError> {
        let (event, next) = match (self.expecting, value, fd) {
            (Expecting::Version, PROTOCOL_VERSION, None) => (Event::VersionAgreed, Expecting::OwnId),
            (Expecting::Version, PROTOCOL_VERSION | REFUSAL, Some(_)) => {
                return Err(SessionError::VersionWithDescriptor);
            }
            (Expecting::Version, REFUSAL, None) => return Err(SessionError::Refused),
            (Expecting::Version, version, _) => return Err(SessionError::WrongVersion(version)),
            (Expecting::OwnId, id, fd) => {
                let own = PeerId::from_wire(id).ok_or(SessionError::OwnIdOutOfRange(id))?;
                if fd.is_some() {
                    return Err(SessionError::OwnIdWithDescriptor(own));
                }
                (Event::Joined(own), Expecting::Memory(own))
            }
            (Expecting::Memory(own), MEMORY, Some(fd)) => (Event::Memory(fd), Expecting::Peers(own)),
            (Expecting::Memory(_), MEMORY, None) => return Err(SessionError::MemoryWithoutDescriptor),
            (Expecting::Memory(_), value, _) => return Err(SessionError::MemoryExpected(value)),
            (Expecting::Peers(own), id, fd) => (self.peer(own, id, fd)?, Expecting::Peers(own)),
        };
        self.expecting = next;
        Ok(event)
    }

    fn peer<F>(&mut self, own: PeerId, value: i64, fd: Option<F>) -> Result<Event<F>, SessionError> {
        let peer = PeerId::from_wire(value).ok_or(SessionError::PeerIdOutOfRange(value))?;
        let Some(fd) = fd else {
            self.left(own, peer)?;
            return Ok(Event::PeerLeft(peer));
        };
        if self.departed.contains(&peer) {
            return Err(SessionError::IdReused(peer));
        }
        let count = self.vectors.entry(peer).or_default();
        let vector = u16::try_from(*count).map_err(|_| SessionError::TooManyVectors(peer))?;
        *count += 1;
        let vector = Vector(vector);
        Ok(if peer == own { Event::OwnVector { vector, fd } } else { Event::PeerVector { peer, vector, fd } })
    }

    fn left(&mut self, own: PeerId, peer: PeerId) -> Result<(), SessionError> {
        if peer == own {
            return Err(SessionError::OwnVectorWithoutDescriptor(own));
        }
        if self.vectors.remove(&peer).is_none() {
            return Err(SessionError::UnknownPeerLeft(peer));
        }
        self.departed.insert(peer);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A session of client 3 that has its memory.
    fn joined() -> Session {
        let mut session = Session::new();
        for (value, fd) in [(0, None), (3, None), (MEMORY, Some('m'))] {
            session.feed(value, fd).unwrap();
        }
        session
    }

    fn error_of(messages: &[(i64, Option<char>)]) -> SessionError {
        let mut session = Session::new();
        let (last, before) = messages.split_last().unwrap();
        for &(value, fd) in before {
            session.feed(value, fd).unwrap();
        }
        session.feed(last.0, last.1).unwrap_err()
    }

    #[test]
    fn each_handshake_step_has_its_errors() {
        use SessionError as E;
        assert_eq!(error_of(&[(1, None)]), E::WrongVersion(1));
        assert_eq!(error_of(&[(REFUSAL, None)]), E::Refused);
        for value in [PROTOCOL_VERSION, REFUSAL] {
            assert_eq!(error_of(&[(value, Some('x'))]), E::VersionWithDescriptor, "{value}");
        }
        let own = PeerId(9);
        assert_eq!(error_of(&[(0, None), (-1, Some('m'))]), E::OwnIdOutOfRange(-1));
        assert_eq!(error_of(&[(0, None), (65_536, None)]), E::OwnIdOutOfRange(65_536));
        assert_eq!(error_of(&[(0, None), (9, Some('x'))]), E::OwnIdWithDescriptor(own));
        let id = [(0, None), (9, None)];
        assert_eq!(error_of(&[id[0], id[1], (9, Some('v'))]), E::MemoryExpected(9));
        assert_eq!(error_of(&[id[0], id[1], (-1, None)]), E::MemoryWithoutDescriptor);
    }

    #[test]
    fn refuses_second_memory() {
        let error = joined().feed(MEMORY, Some('m')).unwrap_err();
        assert_eq!(error, SessionError::PeerIdOutOfRange(-1));
    }

    #[test]
    fn counts_vectors_per_peer() {
        let mut session = joined();
        let mut vector_of = |value| match session.feed(value, Some('v')).unwrap() {
            Event::OwnVector { vector, .. } | Event::PeerVector { vector, .. } => vector.0,
            other => panic!("{other:?}"),
        };
        assert_eq!([1, 3, 1, 3, 2].map(&mut vector_of), [0, 0, 1, 1, 0]);
    }

    #[test]
    fn unknown_peer_cannot_leave() {
        let mut session = joined();
        let unknown = SessionError::UnknownPeerLeft(PeerId(5));
        assert_eq!(session.feed::<char>(5, None), Err(unknown));
        session.feed(5, Some('v')).unwrap();
        assert_eq!(session.feed::<char>(5, None), Ok(Event::PeerLeft(PeerId(5))));
        assert_eq!(session.feed::<char>(5, None), Err(unknown));
    }

    #[test]
    fn the_client_itself_cannot_leave() {
        let error = joined().feed::<char>(3, None).unwrap_err();
        assert_eq!(error, SessionError::OwnVectorWithoutDescriptor(PeerId(3)));
    }

    #[test]
    fn refuses_reused_id() {
        let mut session = joined();
        session.feed(5, Some('v')).unwrap();
        session.feed::<char>(5, None).unwrap();
        let error = session.feed(5, Some('v')).unwrap_err();
        assert_eq!(error, SessionError::IdReused(PeerId(5)));
    }

    #[test]
    fn refuses_too_many_vectors() {
        let mut session = joined();
        for _ in 0..=u16::MAX {
            session.feed(1, Some('v')).unwrap();
        }
        let error = session.feed(1, Some('v')).unwrap_err();
        assert_eq!(error, SessionError::TooManyVectors(PeerId(1)));
    }
}
