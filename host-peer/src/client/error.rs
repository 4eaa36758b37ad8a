//! What can go wrong between a client and its server.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use proto::fd_passing::ReceiveError;
use proto::session::SessionError;
use proto::wire::{PeerId, Vector};
use thiserror::Error;

/// Why something was not done.
#[derive(Debug, Error)]
pub enum ClientError {
    /// There is no socket at the path.
    #[error("there is no socket at {path}: start a server with `ivshmem-server -S {path}`", path = .0.display())]
    NoSocket(PathBuf),
    /// Nobody listens at the socket.
    #[error("nobody answers at {path}: start a server with `ivshmem-server -S {path}`", path = .0.display())]
    NobodyAnswers(PathBuf),
    /// The socket cannot be used.
    #[error("cannot connect to {}: a server's socket that this user may open is needed", path.display())]
    Connect {
        /// The socket's path.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The server took the connection and then said too little.
    #[error(
        "the server at {} did not finish the greeting within {waited:?}: \
         see whether an ivshmem server listens there and is not stopped, or allow more time",
        path.display()
    )]
    Silent {
        /// The socket's path.
        path: PathBuf,
        /// How long the client waited.
        waited: Duration,
    },
    /// The server has no place for another client.
    #[error("the server at {} refused this client: its log says why", .0.display())]
    Refused(PathBuf),
    /// The server closed the connection.
    #[error("the server at {} closed the connection: its log says why", .0.display())]
    ServerGone(PathBuf),
    /// The server sent what cannot be received as messages.
    #[error("cannot understand the server at {}", path.display())]
    Receive {
        /// The socket's path.
        path: PathBuf,
        /// Why not.
        source: ReceiveError,
    },
    /// The server sent a message that it must not send.
    #[error("the server at {} broke the protocol", path.display())]
    Protocol {
        /// The socket's path.
        path: PathBuf,
        /// How.
        source: SessionError,
    },
    /// The server gives its clients fewer vectors than needed.
    #[error(
        "the server at {} gave {received} of {wanted} vectors: \
         start it with `ivshmem-server -n {wanted}`, or ask for fewer",
        path.display()
    )]
    TooFewVectors {
        /// The socket's path.
        path: PathBuf,
        /// How many the client needs.
        wanted: u16,
        /// How many came.
        received: usize,
    },
    /// The size of the shared memory cannot be read.
    #[error("cannot read the size of the shared memory")]
    MemorySize(#[source] io::Error),
    /// The shared memory has no size.
    #[error("the shared memory is empty")]
    EmptyMemory,
    /// No such peer is there.
    #[error("there is no peer {peer}; present: {present}")]
    UnknownPeer {
        /// Who was to be rung.
        peer: PeerId,
        /// Who is there, for people.
        present: String,
    },
    /// A peer, or this client, has not so many vectors.
    #[error("peer {peer} has no vector {vector}: it has {count}, counted from 0")]
    UnknownVector {
        /// Whose vector.
        peer: PeerId,
        /// Which one.
        vector: Vector,
        /// How many it has.
        count: usize,
    },
    /// A doorbell cannot be rung.
    #[error("cannot ring vector {vector} of peer {peer}")]
    Ring {
        /// Whose doorbell.
        peer: PeerId,
        /// Which one.
        vector: Vector,
        /// Why not.
        source: io::Error,
    },
    /// A doorbell cannot be waited at.
    #[error("cannot wait at vector {vector}")]
    Wait {
        /// Which one.
        vector: Vector,
        /// Why not.
        source: io::Error,
    },
}

impl ClientError {
    pub(super) fn unknown_peer<'a>(peer: PeerId, present: impl Iterator<Item = &'a PeerId>) -> Self {
        let ids: Vec<String> = present.map(PeerId::to_string).collect();
        let present = if ids.is_empty() { "nobody".into() } else { ids.join(", ") };
        Self::UnknownPeer { peer, present }
    }
}
