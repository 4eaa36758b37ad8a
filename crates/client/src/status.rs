//! The status socket of a server: one JSON document for each connection. Reading it takes no id, where joining does.
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

/// How a document begins, as the number that a client takes it for.
const BEGIN: [u8; 2] = *b"{\"";

/// More than any status has: 65,536 peers with some 200 bytes each.
const MAX_BYTES: usize = 64 << 20;

/// What a server reports of itself: the part that [`read`] needs. Other fields are ignored.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ServerStatus {
    /// Where clients connect.
    pub socket: PathBuf,
    /// How many vectors each peer has.
    pub vectors: u16,
    /// The shared memory.
    pub memory: MemoryStatus,
    /// The connected peers, by id.
    pub peers: Vec<PeerStatus>,
}

/// The shared memory.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct MemoryStatus {
    /// Its size when the server made it.
    pub size_bytes: u64,
    /// Its seals, such as `shrink`.
    pub seals: Vec<String>,
}

/// A connected peer.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct PeerStatus {
    /// Its id.
    pub id: u16,
    /// How many vectors it has.
    pub vectors: u16,
    /// Its process, if the kernel reports it.
    pub pid: Option<i32>,
}

/// Why there is no status.
#[derive(Debug, Error)]
pub enum StatusError {
    /// No server answers.
    #[error(
        "no server reports its status at {path}: start one with `ivshmem-server --status-socket {path}`",
        path = .0.display()
    )]
    NotRunning(PathBuf),
    /// No connection for another reason.
    #[error(transparent)]
    Connect(ClientError),
    /// The connection broke, or the answer took too long.
    #[error("cannot read the status at {}", path.display())]
    Read {
        /// The status socket.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The answer is not a status.
    #[error("{} is not a status socket of ivshmem-server", path.display())]
    NotAStatus {
        /// The socket.
        path: PathBuf,
        /// What is wrong with the answer.
        source: serde_json::Error,
    },
}

/// Whether a first message is the beginning of a status document.
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
            // After the deadline the loop ends above.
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(error) => return Err(error),
        }
        // A socket for clients sends a number, and stays open.
        if document.first().is_some_and(|first| *first != BEGIN[0]) || document.len() > MAX_BYTES {
            return Ok(document);
        }
    }
}

/// The status of the server that clients reach at `socket`, if its status socket is at a conventional place:
/// `SOCKET.status`, or `NAME.status` for the socket `NAME.sock`.
#[must_use]
pub fn find(socket: &Path, timeout: Duration) -> Option<ServerStatus> {
    let places = conventional_places(socket).into_iter().filter(|path| has_same_owner(path, socket));
    let mut readable = places.filter_map(|path| read(&path, timeout).ok());
    // Another server's status socket may be there.
    readable.find(|status| is_same_path(&status.socket, socket))
}

fn conventional_places(socket: &Path) -> [PathBuf; 2] {
    let mut appended = socket.as_os_str().to_owned();
    appended.push(".status");
    [appended.into(), socket.with_extension("status")]
}

/// In a folder such as /tmp another user may have put a socket there.
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
    fn a_document_is_told_from_a_protocol_version() {
        assert!(is_status_document(i64::from_le_bytes(*b"{\"schema")));
        for version in [0, -1, 1, 0x7b] {
            assert!(!is_status_document(version), "{version}");
        }
    }

    #[test]
    fn status_sockets_are_expected_next_to_the_server_s() {
        let expected = [Path::new("/run/x.sock.status"), Path::new("/run/x.status")];
        assert_eq!(conventional_places(Path::new("/run/x.sock")), expected);
    }
}
