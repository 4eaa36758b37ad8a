//! Detects why a run must stop: a signal, the guest leaves, or the server fails. Checked only while the host waits, at
//! most 100 times per second.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use doorbell::PeerId;

use client::{Client, ClientError, PeerChange};

/// Minimum time between two checks of the server's socket.
const PERIOD: Duration = Duration::from_millis(10);

/// Why a run stops early.
#[derive(Debug, thiserror::Error)]
pub enum StopReason {
    /// SIGTERM or SIGINT.
    #[error("stopped by a signal")]
    Signal,
    /// The server reported that the guest left.
    #[error("the guest (peer {0}) left during the run: its QEMU ended or removed the device")]
    GuestLeft(PeerId),
    /// The server is gone or broke the protocol.
    #[error("the server failed during the run")]
    Server(#[source] ClientError),
}

/// Checks for reasons to stop.
#[derive(Debug)]
pub(super) struct RunMonitor<'c> {
    pub(super) client: &'c mut Client,
    stop: Arc<AtomicBool>,
    /// The run ends if this peer leaves.
    pub(super) guest: Option<PeerId>,
    last: Instant,
}

impl<'c> RunMonitor<'c> {
    pub(super) fn new(client: &'c mut Client, stop: Arc<AtomicBool>) -> Self {
        Self { client, stop, guest: None, last: Instant::now() }
    }

    /// Checks the signal flag, and the server if the last check was long enough ago.
    pub(super) fn check(&mut self) -> Result<(), StopReason> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(StopReason::Signal);
        }
        if self.last.elapsed() < PERIOD {
            return Ok(());
        }
        self.last = Instant::now();
        for change in self.client.poll_events(Duration::ZERO).map_err(StopReason::Server)? {
            if let PeerChange::Left { peer } = change
                && self.guest == Some(peer)
            {
                return Err(StopReason::GuestLeft(peer));
            }
        }
        Ok(())
    }
}
