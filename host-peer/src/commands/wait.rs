//! `wait`: blocks until doorbells arrive.

use std::time::{Duration, Instant};

use anyhow::bail;
use cli_common::output;
use client::plural::plural;
use client::{Client, ClientError, ClientEvent};
use proto::wire::Vector;
use serde_json::json;

use super::print_json;

/// The awaited doorbells.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WaitFor {
    /// Vector of this peer.
    pub(crate) vector: Vector,
    /// Number of rings.
    pub(crate) count: u64,
    /// Time limit, if any.
    pub(crate) timeout: Option<Duration>,
}

/// Waits and prints the number of rings. Fails if the server is gone: no new peer can ring then.
pub(crate) fn wait(client: &mut Client, wanted: WaitFor, as_json: bool) -> anyhow::Result<()> {
    let vectors = client.own_vectors().len();
    if usize::from(wanted.vector.0) >= vectors {
        return Err(ClientError::UnknownVector { peer: client.id(), vector: wanted.vector, count: vectors }.into());
    }
    output::print_error(&format!("waiting as peer {}", client.id()));
    let rings = rings_of(client, wanted)?;
    if as_json {
        let enough = rings >= wanted.count;
        print_json(&json!({
            "peer": client.id().0, "vector": wanted.vector.0, "rings": rings, "wanted": wanted.count, "in_time": enough,
        }))?;
    }
    if rings < wanted.count {
        let timeout = wanted.timeout.unwrap_or_default();
        let wanted_rings = plural(wanted.count, "doorbell");
        bail!("{rings} of {wanted_rings} arrived on vector {} within {timeout:?}", wanted.vector);
    }
    if !as_json {
        output::print(&format!("{rings}\n"))?;
    }
    Ok(())
}

fn rings_of(client: &mut Client, wanted: WaitFor) -> anyhow::Result<u64> {
    let start = Instant::now();
    let mut total = 0;
    while total < wanted.count {
        let left = wanted.timeout.map(|limit| limit.saturating_sub(start.elapsed()));
        match client.next(left)? {
            Some(ClientEvent::Rung { vector, rings }) if vector == wanted.vector => total += rings,
            // Other vectors and other peers: keep waiting.
            Some(_) if left.is_none_or(|left| !left.is_zero()) => {}
            _ => break,
        }
    }
    Ok(total)
}
