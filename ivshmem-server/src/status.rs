//! The server's status: one JSON document for each connection to the status socket.
//!
//! The server does not read from such a connection. No code here changes the server.

mod query;
pub(crate) mod serve;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use query::{StatusError, query};

/// Time limit for sending a status, and for reading it.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Changes when a field is removed or changes its meaning. New fields do not change it.
pub const SCHEMA_VERSION: u32 = 1;

/// A snapshot of the server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// The server's version.
    pub version: String,
    /// The server's process id.
    pub pid: u32,
    /// Path of the client socket.
    pub socket: String,
    /// Time when it began to listen, RFC 3339 in UTC.
    pub started: String,
    /// The shared memory.
    pub memory: MemoryStatus,
    /// Vectors of each peer.
    pub vectors: u16,
    /// Peer limit.
    pub max_peers: usize,
    /// The id of the next peer, which is the lowest free id; 65536 if no id is free.
    pub next_id: u32,
    /// Free ids.
    pub ids_left: u32,
    /// Ids of peers that left, held because present peers were notified of those. Earlier versions never freed an id and do
    /// not report this.
    #[serde(default)]
    pub ids_held: u32,
    /// Messages sent to all clients.
    pub messages_sent: u64,
    /// Clients that were refused.
    pub refused: u64,
    /// Peers that were disconnected because they did not read, or sent data.
    pub cut_off: u64,
    /// Clients that wait now because too many descriptors are in flight to others. Earlier versions do not report this.
    #[serde(default)]
    pub held_up: u64,
    /// Present peers by id.
    pub peers: Vec<PeerStatus>,
}

/// The shared memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryStatus {
    /// The size at creation.
    pub size_bytes: u64,
    /// Size and kind, for display.
    pub description: String,
    /// The present size. If it is below `size_bytes`, a peer that accesses the missing part ends with SIGBUS. Absent if
    /// unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_bytes: Option<u64>,
    /// The seals: `shrink`, `grow`, `seal`, `write`. Empty without seals.
    pub seals: Vec<String>,
}

/// One peer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerStatus {
    /// Its id, which a doorbell addresses.
    pub id: u16,
    /// The process that connected, if the kernel reports it.
    pub pid: Option<i32>,
    /// Its user.
    pub uid: Option<u32>,
    /// Its primary group.
    pub gid: Option<u32>,
    /// Number of vectors.
    pub vectors: u16,
    /// Time when it connected, RFC 3339 in UTC.
    pub connected_since: String,
    /// Joins and leaves that were not sent yet, because the peer does not read.
    pub queued_notices: usize,
    /// Messages sent to it.
    pub messages_sent: u64,
    /// Ids that it was notified of. They are held until it leaves. Earlier versions do not report this.
    #[serde(default)]
    pub notified_ids: u32,
}
