//! The state that all client tasks share.

use std::os::fd::OwnedFd;
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::registry::Registry;

/// The state that the server shares with the client tasks.
#[derive(Debug)]
pub(crate) struct SharedState {
    registry: Mutex<Registry>,
    /// Vectors of each peer.
    pub(crate) vectors: u16,
    /// Sent in place of a doorbell that is already closed.
    pub(crate) dummy_eventfd: OwnedFd,
    /// How long a client may leave pending messages unread.
    pub(crate) stall_timeout: Duration,
    pub(crate) totals: ServerTotals,
}

/// Totals since the start, for the status.
#[derive(Debug, Default)]
pub(crate) struct ServerTotals {
    pub(crate) messages: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) cut_off: AtomicU64,
    /// Clients that wait now because too many descriptors are in flight to others.
    pub(crate) held_up: AtomicU64,
}

impl SharedState {
    pub(crate) fn new(registry: Registry, vectors: u16, dummy_eventfd: OwnedFd, stall_timeout: Duration) -> Self {
        let registry = Mutex::new(registry);
        Self { registry, vectors, dummy_eventfd, stall_timeout, totals: ServerTotals::default() }
    }

    /// Hold the lock only briefly: every client task needs it.
    pub(crate) fn registry(&self) -> MutexGuard<'_, Registry> {
        // A panic leaves the registry consistent, so a poisoned lock is usable.
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
