//! A doorbell that is rung for every message: the sender's side of storms, and of streams without the armed word.

use std::io;

use crate::wait::Notifier;

/// Rings for every message, whether the receiver is armed or not: what doorbells cost without the armed word, and how
/// they coalesce. Its receiver finds events for which there is no message, and waits on.
#[derive(Debug)]
pub struct Bell<F> {
    ring: F,
    rings: u64,
}

impl<F: FnMut() -> io::Result<()>> Bell<F> {
    /// Rings by calling `ring`.
    pub fn new(ring: F) -> Self {
        Self { ring, rings: 0 }
    }
}

impl<F: FnMut() -> io::Result<()>> Notifier for Bell<F> {
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
