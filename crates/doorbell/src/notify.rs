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

/// For a blocking receiver: rings if the receiver is armed.
#[derive(Debug)]
pub struct RingIfArmed<'a, W, F> {
    armed: &'a W,
    ring: F,
    rings: u64,
}

impl<'a, W: AtomicWord, F: FnMut() -> io::Result<()>> RingIfArmed<'a, W, F> {
    /// Calls `ring` if the receiver's `armed` word is set.
    pub fn new(armed: &'a W, ring: F) -> Self {
        Self { armed, ring, rings: 0 }
    }
}

impl<W: AtomicWord, F: FnMut() -> io::Result<()>> Notifier for RingIfArmed<'_, W, F> {
    const RINGS: bool = true;

    #[inline]
    fn notify(&mut self) -> io::Result<()> {
        if claim_armed(self.armed) {
            self.rings += 1;
            (self.ring)()?;
        }
        Ok(())
    }
    fn rings(&self) -> u64 {
        self.rings
    }
}

/// Rings for every message, armed or not: for storms, and for streams that measure doorbells without the armed word.
/// The receiver collects events without a message and continues to wait.
#[derive(Debug)]
pub struct RingAlways<F> {
    ring: F,
    rings: u64,
}

impl<F: FnMut() -> io::Result<()>> RingAlways<F> {
    /// Rings by calling `ring`.
    pub fn new(ring: F) -> Self {
        Self { ring, rings: 0 }
    }
}

impl<F: FnMut() -> io::Result<()>> Notifier for RingAlways<F> {
    const RINGS: bool = true;

    #[inline]
    fn notify(&mut self) -> io::Result<()> {
        self.rings += 1;
        (self.ring)()
    }
    fn rings(&self) -> u64 {
        self.rings
    }
}
