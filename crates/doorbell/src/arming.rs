//! The arming protocol: which receiver is woken by a doorbell.
//!
//! A receiver that is about to block sets its *armed* word. A sender rings only an armed receiver. The order
//!
//! ```text
//! receiver                       sender
//! arm                            publish the message
//! full fence                     full fence
//! check for the message again    claim the armed word (swap to 0)
//! block                          ring, if it was armed
//! ```
//!
//! excludes a lost wake-up: each thread writes, executes a full fence, and reads what the other thread writes. At least
//! one of them sees the other's write. So the sender sees the armed word, or the receiver sees the message.
//! `tests/wait_model.rs` checks this with loom: every interleaving of one message, and those of two messages with few
//! preemptions. It also shows that a wake-up is lost without the fences.
//!
//! The sender *claims* the armed word instead of reading it, so both sides agree on whether a doorbell is in flight.
//! One arming gives at most one doorbell. A receiver that finds the message without blocking knows whether it still has
//! to collect an event. Therefore the counts of rings and events are equal in every closed loop.

use std::sync::atomic::{AtomicU64, Ordering, fence};

/// The atomic operations of the arming protocol. A trait, so the loom model can replace [`AtomicU64`].
pub trait AtomicWord {
    /// See [`AtomicU64::load`].
    fn load(&self, order: Ordering) -> u64;
    /// See [`AtomicU64::store`].
    fn store(&self, value: u64, order: Ordering);
    /// See [`AtomicU64::swap`].
    fn swap(&self, value: u64, order: Ordering) -> u64;
    /// See [`fence`].
    fn fence(order: Ordering);
}

impl AtomicWord for AtomicU64 {
    #[inline]
    fn load(&self, order: Ordering) -> u64 {
        Self::load(self, order)
    }
    #[inline]
    fn store(&self, value: u64, order: Ordering) {
        Self::store(self, value, order);
    }
    #[inline]
    fn swap(&self, value: u64, order: Ordering) -> u64 {
        Self::swap(self, value, order)
    }
    #[inline]
    fn fence(order: Ordering) {
        fence(order);
    }
}

/// Announces that the receiver is about to block. The receiver must check for the message once more before it blocks.
#[inline]
pub(crate) fn arm<W: AtomicWord>(armed: &W) {
    armed.store(1, Ordering::Relaxed);
    // The sender must see the armed word before the receiver checks for the message.
    W::fence(Ordering::SeqCst);
}

/// Claims the armed word; `true` if the receiver was armed. Call it after publishing the message.
#[inline]
pub(crate) fn claim_armed<W: AtomicWord>(armed: &W) -> bool {
    // The receiver must see the message before the armed word is read.
    W::fence(Ordering::SeqCst);
    // A spinning receiver is not armed. The load keeps its cache line shared, where a swap would take it exclusively.
    armed.load(Ordering::Relaxed) != 0 && armed.swap(0, Ordering::AcqRel) != 0
}
