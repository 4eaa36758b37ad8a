//! The server's status: a snapshot in JSON for everyone who connects to the status socket.
//!
//! A connection gets one document and its end; what it says is not read. Nothing here changes the server.

use std::io;
use std::path::Path;
use std::process;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant, SystemTime};

use proto::wire::{self, MESSAGE_BYTES};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::time::timeout;
use tracing::debug;

use crate::hall::Hall;
use crate::memory::SharedMemory;

/// Changes when a field changes its meaning or goes; new fields do not change it.
pub const SCHEMA_VERSION: u32 = 1;

/// How long one that asks may take to read the answer.
const ANSWER_DEADLINE: Duration = Duration::from_secs(5);

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

/// Why there is no status.
#[derive(Debug, Error)]
pub enum StatusError {
    /// Nobody is there.
    #[error("no server answers at {path}: start one with `ivshmem-server --status-socket {path}`", path = path.display())]
    NobodyAnswers {
        /// The status socket's path.
        path: std::path::PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Somebody may be there, whom this user may not ask.
    #[error(
        "this user may not ask at {}: ask as the server's user, or let others ask (its --socket-mode, SocketMode= and \
         SocketGroup= of its unit, the folders on the way)",
        path.display()
    )]
    NotAllowed {
        /// The status socket's path.
        path: std::path::PathBuf,
        /// What the kernel says.
        source: io::Error,
    },
    /// Whether somebody is there is unknown.
    #[error("cannot connect to {}", path.display())]
    Connect {
        /// The status socket's path.
        path: std::path::PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The connection broke, or the answer took too long.
    #[error("the server at {} did not answer to the end", path.display())]
    Read {
        /// The status socket's path.
        path: std::path::PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// What was said is nothing that a status begins with, or without end.
    #[error(
        "what answers at {} is no status socket of ivshmem-server; its --socket is for peers only",
        .0.display()
    )]
    ForeignAnswer(std::path::PathBuf),
    /// The answer is no status.
    #[error(
        "what answers at {} is no status socket of ivshmem-server; its --socket is for peers only",
        path.display()
    )]
    NoStatus {
        /// The path.
        path: std::path::PathBuf,
        /// What is wrong with the answer.
        source: serde_json::Error,
    },
}

/// More than any status has: 65,536 peers with some 200 bytes each.
const MOST_BYTES: usize = 64 << 20;

/// Asks the server behind a status socket. Returns the document as the server wrote it, and what it says.
pub fn ask(path: &Path) -> Result<(String, Status), StatusError> {
    let bytes = read_answer(path, ANSWER_DEADLINE, MOST_BYTES)?;
    let status =
        serde_json::from_slice(&bytes).map_err(|source| StatusError::NoStatus { path: path.into(), source })?;
    Ok((String::from_utf8_lossy(&bytes).into_owned(), status))
}

fn unconnected(path: &Path, source: io::Error) -> StatusError {
    let path = path.into();
    match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => StatusError::NobodyAnswers { path, source },
        io::ErrorKind::PermissionDenied => StatusError::NotAllowed { path, source },
        _ => StatusError::Connect { path, source },
    }
}

/// What is said at a socket up to its end, which must come before the deadline and before so many bytes.
fn read_answer(path: &Path, patience: Duration, most: usize) -> Result<Vec<u8>, StatusError> {
    use std::io::Read;
    use std::os::unix::net::UnixStream;
    let mut stream = UnixStream::connect(path).map_err(|source| unconnected(path, source))?;
    let failed = |source| StatusError::Read { path: path.into(), source };
    let deadline = Instant::now() + patience;
    let (mut bytes, mut part) = (Vec::new(), [0; 1 << 14]);
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(failed(io::ErrorKind::TimedOut.into()));
        }
        stream.set_read_timeout(Some(left)).map_err(failed)?;
        match stream.read(&mut part) {
            Ok(0) => return Ok(bytes),
            Ok(count) => bytes.extend_from_slice(&part[..count]),
            // The deadline is over, which is said above.
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(error) => return Err(failed(error)),
        }
        // The first thing that clients are told, at a socket that never ends by itself.
        let is_for_clients = bytes.len() >= MESSAGE_BYTES && bytes.starts_with(&wire::encode(wire::PROTOCOL_VERSION));
        if is_for_clients || bytes.len() > most {
            return Err(StatusError::ForeignAnswer(path.into()));
        }
    }
}

/// What does not change in a server's life.
#[derive(Debug)]
pub(crate) struct Origin {
    socket: String,
    started: SystemTime,
    memory: MemoryStatus,
}

impl Origin {
    pub(crate) fn new(socket: &Path, memory: &SharedMemory) -> Self {
        let memory = MemoryStatus {
            size_bytes: memory.size(),
            current_bytes: None,
            description: memory.description().into(),
            seals: memory.seals().into_iter().map(String::from).collect(),
        };
        Self { socket: socket.display().to_string(), started: SystemTime::now(), memory }
    }

    pub(crate) fn snapshot(&self, hall: &Hall, memory: &SharedMemory) -> Status {
        let registry = hall.registry();
        Status {
            schema_version: SCHEMA_VERSION,
            version: env!("CARGO_PKG_VERSION").into(),
            pid: process::id(),
            socket: self.socket.clone(),
            started: humantime::format_rfc3339_seconds(self.started).to_string(),
            memory: MemoryStatus { current_bytes: memory.current_size(), ..self.memory.clone() },
            vectors: hall.vectors,
            max_peers: registry.max_peers(),
            next_id: registry.next_id(),
            ids_left: registry.free_ids(),
            ids_held: registry.held_ids(),
            messages_sent: hall.counters.messages.load(Relaxed),
            refused: hall.counters.refused.load(Relaxed),
            cut_off: hall.counters.cut_off.load(Relaxed),
            held_up: hall.counters.held_up.load(Relaxed),
            peers: registry.peers(),
        }
    }
}

/// Answers one that asked.
pub(crate) async fn answer(mut stream: UnixStream, status: Status) {
    let document = match serde_json::to_vec(&status) {
        Ok(mut document) => {
            document.push(b'\n');
            document
        }
        Err(error) => {
            debug!("a status cannot be written: {error}");
            return;
        }
    };
    if !matches!(timeout(ANSWER_DEADLINE, stream.write_all(&document)).await, Ok(Ok(()))) {
        debug!("a reader of the status did not read it");
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::net::UnixListener;
    use std::thread;

    use super::*;

    /// What `read_answer` makes of somebody who says this again and again until nobody listens.
    fn answer_of(words: &'static [u8], pause: Duration, patience: Duration, most: usize) -> StatusError {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let speaking = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            while stream.write_all(words).is_ok() {
                thread::sleep(pause);
            }
        });
        let error = read_answer(&path, patience, most).unwrap_err();
        speaking.join().unwrap();
        error
    }

    #[test]
    fn an_answer_without_end_is_given_up() {
        let error = answer_of(b" ", Duration::from_millis(20), Duration::from_millis(200), 1 << 20);
        assert!(
            matches!(&error, StatusError::Read { source, .. } if source.kind() == io::ErrorKind::TimedOut),
            "{error}"
        );
        let error = answer_of(&[b' '; 4096], Duration::ZERO, Duration::from_secs(60), 1 << 16);
        assert!(matches!(error, StatusError::ForeignAnswer(_)), "{error}");
    }
}
