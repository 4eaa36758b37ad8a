//! `ring`: rings a peer.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context, bail};
use client::Client;
use proto::wire::{PeerId, Vector};
use serde_json::json;

use super::print_json;

/// Limit of a single ring.
const RING_TIMEOUT: Duration = Duration::from_secs(2);

/// Rings a doorbell `count` times. Rings that the peer has not read yet coalesce.
pub(crate) fn ring(client: Client, peer: PeerId, vector: Vector, count: u64, as_json: bool) -> anyhow::Result<()> {
    if let Some(rings) = repeat(count, RING_TIMEOUT, move || Ok(client.ring(peer, vector)?))? {
        bail!(
            "vector {vector} of peer {peer} blocks after {rings} of {count} rings: the peer filled its counter. \
             Hint: restart that peer"
        );
    }
    if as_json {
        print_json(&json!({ "peer": peer.0, "vector": vector.0, "rings": count }))?;
    }
    Ok(())
}

/// Calls `act` repeatedly; stops if one call exceeds the timeout, and returns the number of calls before it. Runs in a
/// separate thread that may never end: a peer can make a ring of its eventfd block.
fn repeat(
    count: u64,
    timeout: Duration,
    mut act: impl FnMut() -> anyhow::Result<()> + Send + 'static,
) -> anyhow::Result<Option<u64>> {
    let done = Arc::new(AtomicU64::new(0));
    let progress = Arc::clone(&done);
    let (sender, outcome) = channel();
    let acting = move || {
        let acted = (0..count).try_for_each(|_| act().map(|()| _ = progress.fetch_add(1, Relaxed)));
        // Close its resources, such as the connection, before reporting the result.
        drop(act);
        // The receiver may have timed out.
        let _ = sender.send(acted);
    };
    thread::Builder::new().name("ring".into()).spawn(acting).context("cannot start a thread")?;
    let mut before = None;
    loop {
        match outcome.recv_timeout(timeout) {
            Ok(acted) => return acted.map(|()| None),
            Err(RecvTimeoutError::Timeout) => {
                let now = done.load(Relaxed);
                if before == Some(now) {
                    return Ok(Some(now));
                }
                before = Some(now);
            }
            Err(RecvTimeoutError::Disconnected) => bail!("the thread that rings has failed"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distinguishes_stuck_ring_from_failed_ring() {
        let (_held, never) = channel::<()>();
        let mut rings = 0;
        let stuck = repeat(9, Duration::from_millis(50), move || {
            rings += 1;
            if rings > 3 { never.recv().context("released") } else { Ok(()) }
        });
        assert_eq!(stuck.unwrap(), Some(3));
        assert!(repeat(9, RING_TIMEOUT, || bail!("no such peer")).unwrap_err().to_string().contains("no such peer"));
        assert_eq!(repeat(9, RING_TIMEOUT, || Ok(())).unwrap(), None);
    }
}
