//! The status socket of a server: one JSON document per connection. Unlike joining, reading it takes no peer id.
//!
//! Only `ivshmem-server` has one. A client that connects to it by mistake receives JSON in place of the protocol version.

use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::Deserialize;
use thiserror::Error;

use crate::{ClientError, connect, deadline};

/// The first bytes of a document.
const BEGIN: [u8; 2] = *b"{\"";

/// Upper limit of a status: 65,536 peers at about 200 bytes.
const MAX_BYTES: usize = 64 << 20;

/// The status fields that clients use. Other fields are ignored.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ServerStatus {
    /// Where clients connect.
    pub socket: PathBuf,
    /// Vectors per peer.
    pub vectors: u16,
    /// The shared memory.
    pub memory: MemoryStatus,
    /// The connected peers, by id.
    pub peers: Vec<PeerStatus>,
}

/// The shared memory.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct MemoryStatus {
    /// Size at creation.
    pub size_bytes: u64,
    /// Its size at this moment; absent if it is unknown.
    #[serde(default)]
    pub current_bytes: Option<u64>,
    /// Its seals, such as `shrink`.
    pub seals: Vec<String>,
}

/// A connected peer.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct PeerStatus {
    /// Its id.
    pub id: u16,
    /// Its vectors.
    pub vectors: u16,
    /// Its process id, if the kernel reports it.
    pub pid: Option<i32>,
}

/// Why the status is not available.
#[derive(Debug, Error)]
pub enum StatusError {
    /// No server answers.
    #[error(
        "no server reports its status at {path}. Hint: start one with `ivshmem-server --status-socket {path}`",
        path = .0.display()
    )]
    NotRunning(PathBuf),
    /// The connection failed for another reason.
    #[error(transparent)]
    Connect(ClientError),
    /// The connection broke or timed out.
    #[error("cannot read the status at {}", path.display())]
    Read {
        /// The status socket.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The document is not a status.
    #[error("{} is not a status socket of ivshmem-server", path.display())]
    NotAStatus {
        /// The socket.
        path: PathBuf,
        /// The parse error.
        source: serde_json::Error,
    },
}

/// Whether the first message of a server is the start of a status document.
#[must_use]
pub fn is_status_document(first_message: i64) -> bool {
    first_message.to_le_bytes().starts_with(&BEGIN)
}

/// Reads the status at a status socket.
pub fn read(path: &Path, timeout: Duration) -> Result<ServerStatus, StatusError> {
    let deadline = deadline::after(timeout);
    let stream = connect(path, deadline).map_err(|error| match error {
        ClientError::NoSocket(path) | ClientError::NotListening(path) => StatusError::NotRunning(path),
        error => StatusError::Connect(error),
    })?;
    let document = read_document(stream, deadline).map_err(|source| StatusError::Read { path: path.into(), source })?;
    serde_json::from_slice(&document).map_err(|source| StatusError::NotAStatus { path: path.into(), source })
}

fn read_document(mut stream: UnixStream, deadline: Instant) -> io::Result<Vec<u8>> {
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
        if document.first().is_some_and(|first| *first != BEGIN[0]) || document.len() > MAX_BYTES {
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
    readable.find(|status| is_same_path(&status.socket, socket))
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
    use super::*;

    #[test]
    fn distinguishes_document_from_version() {
        assert!(is_status_document(i64::from_le_bytes(*b"{\"schema")));
        for version in [0, -1, 1, 0x7b] {
            assert!(!is_status_document(version), "{version}");
        }
    }

    #[test]
    fn status_sockets_are_next_to_the_servers() {
        let expected = [Path::new("/run/x.sock.status"), Path::new("/run/x.status")];
        assert_eq!(conventional_paths(Path::new("/run/x.sock")), expected);
    }
}
