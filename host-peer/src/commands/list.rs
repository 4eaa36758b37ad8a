//! `list`: the connected peers.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use cli_common::output;
use client::fd_limit;
use client::plural::plural;
use client::status::{self, ServerStatus};
use client::{Client, ClientError, JoinOptions};
use proto::wire::PeerId;
use serde_json::json;

use super::{STATUS_TIMEOUT, print_json, warn_if_unsealed};

/// Timeout of a status socket with a conventional path; then this process joins.
const FIND_TIMEOUT: Duration = Duration::from_secs(1);

/// The listed values, from status or join.
struct Listing {
    /// This process, if it joined.
    own: Option<PeerId>,
    vectors: usize,
    memory_bytes: u64,
    is_shrinkable: bool,
    peers: Vec<Peer>,
}

struct Peer {
    id: PeerId,
    vectors: usize,
    pid: Option<i32>,
}

/// Prints the memory and the peers: from a status socket if there is one, otherwise by joining.
pub(crate) fn list(socket: &Path, status_socket: Option<&Path>, as_json: bool) -> anyhow::Result<()> {
    let listing = match status_socket {
        Some(path) => of_status(&status::read(path, STATUS_TIMEOUT)?),
        None => match status::find(socket, FIND_TIMEOUT) {
            Some(status) => of_status(&status),
            None => joined(socket)?,
        },
    };
    if as_json { print_json(&listing.document()) } else { Ok(output::print(&listing.text())?) }
}

fn of_status(status: &ServerStatus) -> Listing {
    let size = status.memory.size_bytes;
    if let Some(now) = status.memory.current_bytes.filter(|now| *now != size) {
        let (change, risk) = if now < size {
            ("shrunk", "peers that access the missing part end with SIGBUS, and ")
        } else {
            ("enlarged", "")
        };
        output::print_error(&format!(
            "host-peer: warning: the memory was {change} from {size} to {now} bytes: {risk}the server refuses new clients. \
             Hint: its log has the command that restores the size"
        ));
    }
    let peers = status.peers.iter();
    Listing {
        own: None,
        vectors: status.vectors.into(),
        memory_bytes: size,
        is_shrinkable: !status.memory.seals.iter().any(|seal| seal == "shrink"),
        peers: peers.map(|peer| Peer { id: PeerId(peer.id), vectors: peer.vectors.into(), pid: peer.pid }).collect(),
    }
}

fn joined(socket: &Path) -> anyhow::Result<Listing> {
    let _ = fd_limit::raise_limit();
    let client = match Client::join(&JoinOptions::at(socket)) {
        Ok(client) => client,
        Err(ClientError::StatusSocket(path)) => return Ok(of_status(&status::read(&path, STATUS_TIMEOUT)?)),
        Err(error) => return Err(error.into()),
    };
    warn_if_unsealed(&client);
    output::print_error(&format!(
        "host-peer: joined as peer {} to list the peers. Its id is held as long as a peer stays that was notified of it. \
         Hint: start the server with --status-socket {}.status to list without joining",
        client.id(),
        socket.display()
    ));
    let peer = |id, vectors| Peer { id, vectors, pid: None };
    let own = peer(client.id(), client.own_vectors().len());
    let others = client.peers().iter().map(|(id, vectors)| peer(*id, vectors.len()));
    Ok(Listing {
        own: Some(client.id()),
        vectors: client.own_vectors().len(),
        memory_bytes: client.memory_size(),
        is_shrinkable: client.is_shrinkable(),
        peers: std::iter::once(own).chain(others).collect(),
    })
}

impl Listing {
    fn document(&self) -> serde_json::Value {
        let is_self = |peer: &Peer| self.own == Some(peer.id);
        let peers: Vec<_> = self
            .peers
            .iter()
            .map(|peer| json!({ "peer": peer.id.0, "vectors": peer.vectors, "self": is_self(peer), "pid": peer.pid }))
            .collect();
        json!({
            "peer": self.own.map(|own| own.0),
            "vectors": self.vectors,
            "memory": { "bytes": self.memory_bytes, "may_shrink": self.is_shrinkable },
            "peers": peers,
            "source": if self.own.is_some() { "join" } else { "status" },
        })
    }

    fn text(&self) -> String {
        let mut text = format!("memory  {} bytes\n", self.memory_bytes);
        for Peer { id, vectors, pid } in &self.peers {
            let vectors = plural(*vectors, "vector");
            // Writing to a String cannot fail.
            let _ = match pid {
                _ if self.own == Some(*id) => writeln!(text, "peer {id}  {vectors} (this one)"),
                Some(pid) => writeln!(text, "peer {id}  {vectors}  pid {pid}"),
                None => writeln!(text, "peer {id}  {vectors}"),
            };
        }
        if self.peers.is_empty() {
            text.push_str("no peers\n");
        }
        text
    }
}
