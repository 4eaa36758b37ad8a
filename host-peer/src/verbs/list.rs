//! `list`: who is there.

use std::fmt::Write as _;

use host_peer::client::Client;
use host_peer::words::counted;
use serde_json::json;

use super::print_json;
use crate::out;

/// Prints the memory and the peers, this one among them.
pub(crate) fn list(client: &Client, as_json: bool) -> anyhow::Result<()> {
    if as_json {
        let peers: Vec<_> =
            client.peers().iter().map(|(peer, vectors)| json!({ "peer": peer.0, "vectors": vectors.len() })).collect();
        return print_json(&json!({
            "peer": client.id().0,
            "vectors": client.own_vectors().len(),
            "memory": { "bytes": client.memory_size(), "may_shrink": client.memory_may_shrink() },
            "peers": peers,
        }));
    }
    let own = counted(client.own_vectors().len(), "vector");
    let mut text = format!("memory  {} bytes\npeer {}  {own} (this one)\n", client.memory_size(), client.id());
    for (peer, vectors) in client.peers() {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "peer {peer}  {}", counted(vectors.len(), "vector"));
    }
    out::print(&text)
}
