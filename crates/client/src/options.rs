//! Options and events of a client.

use std::path::PathBuf;
use std::time::Duration;

use proto::wire::{PeerId, Vector};

/// How to join.
#[derive(Debug, Clone)]
pub struct JoinOptions {
    /// Where the server listens.
    pub socket: PathBuf,
    /// Vectors that the client needs. Default: as many as the other peers have; without peers, all that arrive before a
    /// pause.
    pub vectors: Option<u16>,
    /// Limit of the whole handshake.
    pub timeout: Duration,
}

impl JoinOptions {
    /// Options for the server at `socket`, with the default of [`vectors`](Self::vectors) and a time limit of five seconds.
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
#[expect(missing_docs, reason = "the variants describe their fields")]
pub enum PeerChange {
    /// A peer joined. Its vector 0 can be rung.
    Joined { peer: PeerId },
    /// A further vector of this client, or of a peer, where it is 1 or more.
    VectorAdded { peer: PeerId, vector: Vector },
    /// A peer left, and its vectors are closed.
    Left { peer: PeerId },
}

/// An event that a client waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the variants describe their fields")]
pub enum ClientEvent {
    /// A doorbell of this client was rung: a vector, and its rings since the last event of it. The protocol does not identify
    /// the sender.
    Rung { vector: Vector, rings: u64 },
    /// A peer joined or left.
    Peer(PeerChange),
}
