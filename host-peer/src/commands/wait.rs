//! `wait`: blocks until doorbells arrive.

use std::time::{Duration, Instant};

use anyhow::bail;
use cli_common::output;
use client::plural::plural;
use client::{Client, ClientError, ClientEvent};
use proto::wire::Vector;
use serde_json::json;

use super::print_json;

/// What is waited for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WaitFor {
    /// The own vector.
    pub(crate) vector: Vector,
    /// How many rings.
    pub(crate) count: u64,
    /// How long at most; for ever if absent.
    pub(crate) timeout: Option<Duration>,
}

/// Waits, and prints how many rings came. A server that goes away ends it, because nobody new can ring from then on.
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
        bail!("{rings} of {wanted_rings} came on vector {} within {timeout:?}", wanted.vector);
    }
    if !as_json {
        output::print(&format!("{rings}\n"))?;
    }
    Ok(())
}

fn rings_of(client: &mut Client, wanted: WaitFor) -> anyhow::Result<u64> {
    let start = Instant::now();
    let mut seen = 0;
    while seen < wanted.count {
        let left = wanted.timeout.map(|limit| limit.saturating_sub(start.elapsed()));
        match client.next(left)? {
            Some(ClientEvent::Rung { vector, rings }) if vector == wanted.vector => seen += rings,
            // Other vectors and other peers: what has been waited for is still to come.
            Some(_) if left.is_none_or(|left| !left.is_zero()) => {}
            _ => break,
        }
    }
    Ok(seen)
}
