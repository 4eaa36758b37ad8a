//! Notifiers: how a sender wakes the receiver of a message.

use std::io;

use crate::arming::{AtomicWord, claim_armed};

/// Wakes the receiver after a message.
pub trait Notifier {
    /// `false` if this notifier never rings: code that only ringing needs is then compiled out.
    const RINGS: bool;
    /// Called right after the message has been published.
    fn notify(&mut self) -> io::Result<()>;
    /// Number of doorbells rung.
    fn rings(&self) -> u64;
}

/// For a polling receiver: does nothing.
#[derive(Debug, Default)]
pub struct NoNotify;

impl Notifier for NoNotify {
    const RINGS: bool = false;

    #[inline]
    fn notify(&mut self) -> io::Result<()> {
        Ok(())
    }
    fn rings(&self) -> u64 {
        0
    }
}

/// For a blocking receiver: calls `ring` if the receiver's `armed` word is set.
pub fn ring_if_armed<W: AtomicWord, F: FnMut() -> io::Result<()>>(armed: &W, ring: F) -> impl Notifier {
    Ring { is_needed: || claim_armed(armed), notify: ring, rings: 0 }
}

/// Calls `ring` for every message, armed or not: for storms, and for streams that measure doorbells without the armed
/// word. The receiver collects events without a message and continues to wait.
pub fn ring_always<F: FnMut() -> io::Result<()>>(ring: F) -> impl Notifier {
    Ring { is_needed: || true, notify: ring, rings: 0 }
}

struct Ring<C, F> {
    is_needed: C,
    notify: F,
    rings: u64,
}

impl<C: FnMut() -> bool, F: FnMut() -> io::Result<()>> Notifier for Ring<C, F> {
    const RINGS: bool = true;

    #[inline]
    fn notify(&mut self) -> io::Result<()> {
        if (self.is_needed)() {
            self.rings += 1;
            (self.notify)()?;
        }
        Ok(())
    }
    fn rings(&self) -> u64 {
        self.rings
    }
}
