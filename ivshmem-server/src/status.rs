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

/// Changes when a field changes its meaning or goes; new fields do not change it.
pub const SCHEMA_VERSION: u32 = 1;

/// A server at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// The server's version.
    pub version: String,
    /// The server's process.
    pub pid: u32,
    /// Where clients connect.
    pub socket: String,
    /// When it began to listen, RFC 3339 in UTC.
    pub started: String,
    /// The shared memory.
    pub memory: MemoryStatus,
    /// How many vectors each peer has.
    pub vectors: u16,
    /// The most peers at a time.
    pub max_peers: usize,
    /// The id of the next peer, the lowest free one; 65536 when none is free.
    pub next_id: u32,
    /// How many ids are free.
    pub ids_left: u32,
    /// How many ids belong to peers that left, and are held because present peers were notified of those. Earlier versions
    /// never freed an id and do not report it.
    #[serde(default)]
    pub ids_held: u32,
    /// Messages sent to all clients.
    pub messages_sent: u64,
    /// Clients that were not taken in.
    pub refused: u64,
    /// Peers that were disconnected because they did not read, or spoke.
    pub cut_off: u64,
    /// Clients that wait at this moment because too many descriptors, sent to others, are not read. Earlier versions do not
    /// say it.
    #[serde(default)]
    pub held_up: u64,
    /// Who is there, by id.
    pub peers: Vec<PeerStatus>,
}

/// The shared memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryStatus {
    /// Its size.
    pub size_bytes: u64,
    /// What it is made of, for people.
    pub description: String,
    /// Its size at this moment. Below `size_bytes` a peer that accesses the missing part ends with SIGBUS. Absent if it is
    /// unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_bytes: Option<u64>,
    /// What can no longer be done to it: `shrink`, `grow`, `seal`, `write`. Empty where there are no seals.
    pub seals: Vec<String>,
}

/// One peer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerStatus {
    /// Its id, which a doorbell addresses.
    pub id: u16,
    /// The process that connected, where the kernel says it.
    pub pid: Option<i32>,
    /// Its user.
    pub uid: Option<u32>,
    /// Its primary group.
    pub gid: Option<u32>,
    /// How many vectors it has.
    pub vectors: u16,
    /// When it connected, RFC 3339 in UTC.
    pub connected_since: String,
    /// How many peers that came or left it was not told of yet, because it does not read.
    pub queued_notices: usize,
    /// Messages sent to it.
    pub messages_sent: u64,
    /// How many ids it was notified of. They are held until it leaves. Earlier versions do not report it.
    #[serde(default)]
    pub notified_ids: u32,
}
