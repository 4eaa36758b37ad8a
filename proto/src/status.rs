//! The status socket of a server: one JSON document per connection. Unlike joining, reading it takes no peer id.
//!
//! Only `ivshmem-server` has one. A client that connects to it by mistake receives JSON in place of the protocol version.

use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::connect::{ConnectError, connect};
use crate::deadline;

/// The first bytes of a document.
const BEGIN: [u8; 2] = *b"{\"";

/// Upper limit of a status: 65,536 peers at about 200 bytes.
const MAX_BYTES: usize = 64 << 20;

/// Changes when a field is removed or changes its meaning. New fields do not change it.
pub const SCHEMA_VERSION: u32 = 1;

/// A snapshot of the server. Readers accept a document without the fields that have a default, or with others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerStatus {
    /// [`SCHEMA_VERSION`].
    #[serde(default)]
    pub schema_version: u32,
    /// The server's version.
    #[serde(default)]
    pub version: String,
    /// The server's process id.
    #[serde(default)]
    pub pid: u32,
    /// Path of the client socket.
    pub socket: String,
    /// Time when it began to listen, RFC 3339 in UTC.
    #[serde(default)]
    pub started: String,
    /// The shared memory.
    pub memory: MemoryStatus,
    /// Vectors of each peer.
    pub vectors: u16,
    /// Peer limit.
    #[serde(default)]
    pub max_peers: usize,
    /// The id of the next peer, which is the lowest free id; 65536 if no id is free.
    #[serde(default)]
    pub next_id: u32,
    /// Free ids.
    #[serde(default)]
    pub ids_left: u32,
    /// Ids of peers that left, held because present peers were notified of those. Earlier versions never freed an id and do
    /// not report this.
    #[serde(default)]
    pub ids_held: u32,
    /// Messages sent to all clients.
    #[serde(default)]
    pub messages_sent: u64,
    /// Clients that were refused.
    #[serde(default)]
    pub refused: u64,
    /// Peers that were disconnected because they did not read, or sent data.
    #[serde(default)]
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
    #[serde(default)]
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
    #[serde(default)]
    pub connected_since: String,
    /// Joins and leaves that were not sent yet, because the peer does not read.
    #[serde(default)]
    pub queued_notices: usize,
    /// Messages sent to it.
    #[serde(default)]
    pub messages_sent: u64,
    /// Ids that it was notified of. They are held until it leaves. Earlier versions do not report this.
    #[serde(default)]
    pub notified_ids: usize,
}

/// Why the status is not available.
#[derive(Debug, Error)]
#[expect(missing_docs, reason = "the texts describe the errors")]
pub enum StatusError {
    #[error("no server answers at {path}. Hint: start one with `ivshmem-server --status-socket {path}`", path = path.display())]
    NotRunning { path: PathBuf, source: io::Error },
    #[error(
        "permission denied at {}. Hint: run this as the server's user, or allow other users (the server's --socket-mode, or \
         SocketMode= and SocketGroup= of its unit, and the permissions of the directories)",
        path.display()
    )]
    PermissionDenied { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Connect(ConnectError),
    #[error("no status from {} within the time limit. Hint: check that the server is not stopped", path.display())]
    TimedOut { path: PathBuf },
    #[error("cannot read the status at {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} is not a status socket of ivshmem-server; its --socket is for peers only", path.display())]
    NotAStatus { path: PathBuf, source: serde_json::Error },
}

/// Whether the first message of a server is the start of a status document.
#[must_use]
pub fn is_status_document(first_message: i64) -> bool {
    first_message.to_le_bytes().starts_with(&BEGIN)
}

/// Reads the status at a status socket.
pub fn read(path: &Path, timeout: Duration) -> Result<ServerStatus, StatusError> {
    query(path, timeout).map(|(_, status)| status)
}

/// Reads the status at a status socket. Returns the document as the server sent it, and its contents.
pub fn query(path: &Path, timeout: Duration) -> Result<(String, ServerStatus), StatusError> {
    let deadline = deadline::after(timeout);
    let stream = connect(path, deadline).map_err(|error| match error {
        ConnectError::NoSocket(path) => StatusError::NotRunning { path, source: Errno::NOENT.into() },
        ConnectError::NotListening(path) => StatusError::NotRunning { path, source: Errno::CONNREFUSED.into() },
        ConnectError::Failed { path, source } if source.kind() == ErrorKind::PermissionDenied => {
            StatusError::PermissionDenied { path, source }
        }
        error => StatusError::Connect(error),
    })?;
    let document = read_document(stream, deadline, MAX_BYTES).map_err(|source| match source.kind() {
        ErrorKind::TimedOut => StatusError::TimedOut { path: path.into() },
        _ => StatusError::Read { path: path.into(), source },
    })?;
    let status =
        serde_json::from_slice(&document).map_err(|source| StatusError::NotAStatus { path: path.into(), source })?;
    Ok((String::from_utf8_lossy(&document).into_owned(), status))
}

/// Reads to the end of the stream, or until the bytes cannot be a status.
fn read_document(mut stream: UnixStream, deadline: Instant, max_bytes: usize) -> io::Result<Vec<u8>> {
    stream.set_nonblocking(false)?;
    let (mut document, mut part) = (Vec::new(), [0; 1 << 14]);
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut part) {
            Ok(0) => return Ok(document),
            Ok(count) => document.extend_from_slice(&part[..count]),
            // The check above ends the loop after the deadline.
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(error) => return Err(error),
        }
        // A client socket sends a binary number and stays open.
        if document.first().is_some_and(|first| *first != BEGIN[0]) || document.len() > max_bytes {
            return Ok(document);
        }
    }
}

/// The status of the server that clients reach at `socket`, if its status socket has a conventional path:
/// `SOCKET.status`, or `NAME.status` for the socket `NAME.sock`.
#[must_use]
pub fn find(socket: &Path, timeout: Duration) -> Option<ServerStatus> {
    let places = conventional_paths(socket).into_iter().filter(|path| has_same_owner(path, socket));
    let mut readable = places.filter_map(|path| read(&path, timeout).ok());
    // The path may belong to another server.
    readable.find(|status| is_same_path(Path::new(&status.socket), socket))
}

fn conventional_paths(socket: &Path) -> [PathBuf; 2] {
    let mut appended = socket.as_os_str().to_owned();
    appended.push(".status");
    [appended.into(), socket.with_extension("status")]
}

/// In /tmp another user may have created the socket.
fn has_same_owner(path: &Path, socket: &Path) -> bool {
    let owner = |path: &Path| path.metadata().map(|metadata| metadata.uid()).ok();
    owner(path).is_some_and(|uid| owner(socket) == Some(uid))
}

fn is_same_path(one: &Path, other: &Path) -> bool {
    let full = |path: &Path| path.canonicalize().ok();
    one == other || full(one).is_some_and(|one| Some(one) == full(other))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn distinguishes_document_from_version() {
        assert!(is_status_document(i64::from_le_bytes(*b"{\"schema")));
        for version in [0, -1, 1, 0x7b] {
            assert!(!is_status_document(version), "{version}");
        }
    }

    #[test]
    fn an_endless_document_ends_by_time_or_size() {
        let read = |bytes: &'static [u8], timeout, max_bytes| {
            let (ours, mut theirs) = UnixStream::pair().unwrap();
            let server = std::thread::spawn(move || while theirs.write_all(bytes).is_ok() {});
            let read = read_document(ours, deadline::after(timeout), max_bytes);
            server.join().unwrap();
            read
        };
        let error = read(b"{", Duration::from_millis(200), usize::MAX).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        let document = read(&[b'{'; 4096], Duration::from_secs(60), 1 << 16).unwrap();
        assert!(serde_json::from_slice::<ServerStatus>(&document).is_err());
    }

    #[test]
    fn reads_a_document_with_only_the_fields_that_clients_need() {
        let document = r#"{"socket":"/run/x","vectors":2,"memory":{"size_bytes":4096,"seals":["shrink"]},
            "peers":[{"id":1,"vectors":2}]}"#;
        let status: ServerStatus = serde_json::from_str(document).unwrap();
        assert_eq!((status.socket.as_str(), status.vectors, status.schema_version), ("/run/x", 2, 0));
        assert_eq!((status.memory.size_bytes, status.memory.current_bytes), (4096, None));
        assert_eq!(status.memory.seals, ["shrink"]);
        let peers: Vec<_> = status.peers.iter().map(|peer| (peer.id, peer.vectors, peer.pid)).collect();
        assert_eq!(peers, [(1, 2, None)]);
        for field in ["socket", "vectors", "size_bytes", "seals", "peers", "id"] {
            let without = document.replacen(&format!("\"{field}\""), "\"other\"", 1);
            assert!(serde_json::from_str::<ServerStatus>(&without).is_err(), "{field}");
        }
    }

    #[test]
    fn status_sockets_are_next_to_the_servers() {
        let expected = [Path::new("/run/x.sock.status"), Path::new("/run/x.status")];
        assert_eq!(conventional_paths(Path::new("/run/x.sock")), expected);
    }
}
