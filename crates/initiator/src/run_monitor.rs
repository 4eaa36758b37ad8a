//! What may end a run from outside: a signal, the guest's departure, the server's. Looked at only while nothing else is
//! to be done, and no more than a hundred times a second.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use doorbell::PeerId;

use client::{Client, ClientError, PeerChange};

/// Least time between two looks at the server's socket.
const PERIOD: Duration = Duration::from_millis(10);

/// Why a run was stopped.
#[derive(Debug, thiserror::Error)]
pub enum StopReason {
    /// SIGTERM or SIGINT.
    #[error("stopped by a signal")]
    Signal,
    /// The server says so.
    #[error("the guest (peer {0}) left in mid run: its QEMU ended or let the device go")]
    GuestLeft(PeerId),
    /// The server went away, or broke the protocol.
    #[error("the server failed in mid run")]
    Server(#[source] ClientError),
}

/// See the module.
#[derive(Debug)]
pub(super) struct RunMonitor<'c> {
    client: &'c mut Client,
    stop: Arc<AtomicBool>,
    guest: Option<PeerId>,
    last: Instant,
}

impl<'c> RunMonitor<'c> {
    pub(super) fn new(client: &'c mut Client, stop: Arc<AtomicBool>) -> Self {
        Self { client, stop, guest: None, last: Instant::now() }
    }

    pub(super) fn client(&self) -> &Client {
        self.client
    }

    /// From now on, this peer's departure ends the run.
    pub(super) fn expect(&mut self, guest: PeerId) {
        self.guest = Some(guest);
    }

    /// CountedCheck, if the last look was long enough ago.
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
