//! `wait`: blocks until doorbells arrive.

use std::time::{Duration, Instant};

use anyhow::bail;
use cli_common::output;
use client::plural::plural;
use client::{Client, ClientError, ClientEvent};
use proto::wire::Vector;
use serde_json::json;

use super::print_json;

/// Waits for `count` rings of a vector of this peer and prints the number of rings. Fails if the server is gone: no new peer
/// can ring then.
pub(crate) fn wait(
    client: &mut Client,
    vector: Vector,
    count: u64,
    timeout: Option<Duration>,
    as_json: bool,
) -> anyhow::Result<()> {
    let vectors = client.own_vectors().len();
    if usize::from(vector.0) >= vectors {
        return Err(ClientError::UnknownVector { peer: client.id(), vector, count: vectors }.into());
    }
    output::print_error(&format!("waiting as peer {}", client.id()));
    let start = Instant::now();
    let mut rings = 0;
    while rings < count {
        let left = timeout.map(|limit| limit.saturating_sub(start.elapsed()));
        match client.next(left)? {
            Some(ClientEvent::Rung { vector: rung, rings: more }) if rung == vector => rings += more,
            // Other vectors and other peers: keep waiting.
            Some(_) if left.is_none_or(|left| !left.is_zero()) => {}
            _ => break,
        }
    }
    if as_json {
        print_json(&json!({
            "peer": client.id().0, "vector": vector.0, "rings": rings, "wanted": count, "in_time": rings >= count,
        }))?;
    }
    if rings < count {
        let wanted = plural(count, "doorbell");
        bail!("{rings} of {wanted} arrived on vector {vector} within {:?}", timeout.unwrap_or_default());
    }
    if !as_json {
        output::print(&format!("{rings}\n"))?;
    }
    Ok(())
}
