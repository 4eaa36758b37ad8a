//! `ring`: wakes a peer.

use host_peer::client::Client;
use proto::wire::{PeerId, Vector};
use serde_json::json;

use super::print_json;

/// Rings a doorbell so many times. Rings that come faster than the peer reads them merge into one wake-up.
pub(crate) fn ring(client: &Client, peer: PeerId, vector: Vector, count: u64, as_json: bool) -> anyhow::Result<()> {
    for _ in 0..count {
        client.ring(peer, vector)?;
    }
    if as_json {
        print_json(&json!({ "peer": peer.0, "vector": vector.0, "rings": count }))?;
    }
    Ok(())
}
