//! `list`: who is there.

use host_peer::client::Client;
use serde_json::json;

use super::print_json;

/// Prints the memory and the peers, this one among them.
pub(crate) fn list(client: &Client, as_json: bool) {
    if as_json {
        let peers: Vec<_> =
            client.peers().iter().map(|(peer, vectors)| json!({ "peer": peer.0, "vectors": vectors.len() })).collect();
        print_json(&json!({
            "peer": client.id().0,
            "vectors": client.own_vectors().len(),
            "memory": { "bytes": client.memory_size(), "may_shrink": client.memory_may_shrink() },
            "peers": peers,
        }));
        return;
    }
    println!("memory  {} bytes", client.memory_size());
    println!("peer {}  {} vectors (this one)", client.id(), client.own_vectors().len());
    for (peer, vectors) in client.peers() {
        println!("peer {peer}  {} vectors", vectors.len());
    }
}
