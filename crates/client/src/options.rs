//! What a client chooses, and what it is told.

use std::path::PathBuf;
use std::time::Duration;

use proto::wire::{PeerId, Vector};

/// How to join.
#[derive(Debug, Clone)]
pub struct JoinOptions {
    /// Where the server listens.
    pub socket: PathBuf,
    /// How many vectors of its own the client needs. Without it, as many as the other peers have;
    /// where there is none, what comes until the line is quiet.
    pub vectors: Option<u16>,
    /// How long the whole hand-over may take.
    pub timeout: Duration,
}

impl JoinOptions {
    /// Joins the server at a socket within five seconds, with as many vectors as there are.
    ///
    /// ```
    /// use client::JoinOptions;
    ///
    /// let options = JoinOptions { vectors: Some(2), ..JoinOptions::at("/tmp/ivshmem_socket") };
    /// assert_eq!(options.timeout.as_secs(), 5);
    /// ```
    pub fn at(socket: impl Into<PathBuf>) -> Self {
        Self { socket: socket.into(), vectors: None, timeout: Duration::from_secs(5) }
    }
}

/// A change among the peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerChange {
    /// A peer came. Its vector 0 can be rung.
    Joined {
        /// Who came.
        peer: PeerId,
    },
    /// One more vector of a peer, or of this client, is known.
    VectorAdded {
        /// Whose vector.
        peer: PeerId,
        /// Its index, 1 or more for a peer.
        vector: Vector,
    },
    /// A peer left, and its vectors are closed.
    Left {
        /// Who left.
        peer: PeerId,
    },
}

/// Something that a client can wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientEvent {
    /// A doorbell of this client was rung. By whom, nobody is told.
    Rung {
        /// Which one.
        vector: Vector,
        /// How often since the last look.
        rings: u64,
    },
    /// The server told of a change among the peers.
    Peer(PeerChange),
}
