//! What all clients' tasks have in common.

use std::os::fd::OwnedFd;
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::registry::Registry;

/// What the tasks share with the server.
#[derive(Debug)]
pub(crate) struct SharedState {
    registry: Mutex<Registry>,
    /// How many vectors each peer has.
    pub(crate) vectors: u16,
    /// Sent in the place of a doorbell that is closed by then.
    pub(crate) dummy_eventfd: OwnedFd,
    /// How long a client may read nothing while there is something to read.
    pub(crate) stall_deadline: Duration,
    pub(crate) counters: Counters,
}

/// What the server did in its life, for its status.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) messages: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) cut_off: AtomicU64,
    /// How many clients wait now because too many descriptors are under way to others.
    pub(crate) held_up: AtomicU64,
}

impl SharedState {
    pub(crate) fn new(registry: Registry, vectors: u16, dummy_eventfd: OwnedFd, stall_deadline: Duration) -> Self {
        let registry = Mutex::new(registry);
        Self { registry, vectors, dummy_eventfd, stall_deadline, counters: Counters::default() }
    }

    /// To be held for no longer than a look: all tasks wait for it.
    pub(crate) fn registry(&self) -> MutexGuard<'_, Registry> {
        // The registry changes in single steps, so what a panic left behind is whole.
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
