//! The server's status: one JSON document for each connection to the status socket.
//!
//! The server does not read from such a connection. No code here changes the server.

use std::path::Path;
use std::process;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, SystemTime};

use proto::status::{MemoryStatus, SCHEMA_VERSION, ServerStatus};
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::time::timeout;
use tracing::debug;

use crate::memory::SharedMemory;
use crate::shared::SharedState;

/// Time limit for sending a status.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The constant part of the status.
#[derive(Debug)]
pub(crate) struct StaticStatus {
    socket: String,
    started: SystemTime,
    memory: MemoryStatus,
}

impl StaticStatus {
    pub(crate) fn new(socket: &Path, memory: &SharedMemory) -> Self {
        let memory = MemoryStatus {
            size_bytes: memory.size(),
            current_bytes: None,
            description: memory.description().into(),
            seals: memory.seals().into_iter().map(String::from).collect(),
        };
        Self { socket: socket.display().to_string(), started: SystemTime::now(), memory }
    }

    pub(crate) fn snapshot(&self, shared: &SharedState, memory: &SharedMemory) -> ServerStatus {
        let registry = shared.registry();
        ServerStatus {
            schema_version: SCHEMA_VERSION,
            version: env!("CARGO_PKG_VERSION").into(),
            pid: process::id(),
            socket: self.socket.clone(),
            started: humantime::format_rfc3339_seconds(self.started).to_string(),
            memory: MemoryStatus { current_bytes: memory.current_size(), ..self.memory.clone() },
            vectors: shared.vectors,
            max_peers: registry.max_peers(),
            next_id: registry.next_id(),
            ids_left: registry.free_ids(),
            ids_held: registry.held_ids(),
            messages_sent: shared.totals.messages.load(Relaxed),
            refused: shared.totals.refused.load(Relaxed),
            cut_off: shared.totals.cut_off.load(Relaxed),
            held_up: shared.totals.held_up.load(Relaxed),
            peers: registry.peers(),
        }
    }
}

/// Sends the status to a reader.
pub(crate) async fn send(mut stream: UnixStream, status: ServerStatus) {
    let document = match serde_json::to_vec(&status) {
        Ok(mut document) => {
            document.push(b'\n');
            document
        }
        Err(error) => {
            debug!("cannot encode the status: {error}");
            return;
        }
    };
    if !matches!(timeout(TIMEOUT, stream.write_all(&document)).await, Ok(Ok(()))) {
        debug!("a reader of the status did not read all of it");
    }
}
