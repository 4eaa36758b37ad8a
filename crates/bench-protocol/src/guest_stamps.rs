//! The guest's time stamps: a table with an entry per operation, which the host reads after the block.

use std::sync::atomic::{AtomicU64, Ordering};

use doorbell::region::{RegionError, SharedRegion};

use crate::memory_map::{PAGE, STAMP_COUNT, STAMP_WORDS, STAMPS};
use crate::words::{load, word_struct};

word_struct! {
    /// The guest's stamps of one operation, in ticks of its own counter; 0 if not taken.
    #[derive(Default)]
    pub struct GuestStamps {
        /// The operation's sequence number.
        pub seq: u64,
        /// G0: entry of the interrupt handler, if the driver records it.
        pub irq_entry: u64,
        /// G1: the message was detected.
        pub detected: u64,
        /// G2: RECEIVED was stored.
        pub received: u64,
        /// G3: the payload was read.
        pub read: u64,
        /// G4: SHA-256 was computed.
        pub verified: u64,
        /// G5: before PROCESSED or an error is stored; after it, if the guest polls and does not take all stamps.
        pub acked: u64,
    }
}

const _: () = assert!(GuestStamps::WORDS <= STAMP_WORDS);

/// The guest's view of the table. Looked up once; publishing then costs seven stores.
#[derive(Debug, Clone, Copy)]
pub struct StampTable<'m> {
    words: &'m [AtomicU64],
}

impl<'m> StampTable<'m> {
    /// Finds the table and touches each of its pages. A page fault in the measured path would cost 2 µs under emulation.
    pub fn new(region: &'m SharedRegion) -> Result<Self, RegionError> {
        let words = region.words(STAMPS, STAMP_COUNT * STAMP_WORDS)?;
        for word in words.iter().step_by(PAGE / 8) {
            // Writes without changing anything: the host may not have read the last block's stamps yet.
            word.fetch_or(0, Ordering::Relaxed);
        }
        Ok(Self { words })
    }

    /// Stores the stamps of an operation.
    #[inline]
    pub fn publish(&self, stamps: &GuestStamps) {
        let first = index(stamps.seq) * STAMP_WORDS;
        let entry = &self.words[first..first + GuestStamps::WORDS];
        for (word, value) in entry.iter().zip(stamps.to_words()) {
            word.store(value, Ordering::Relaxed);
        }
    }
}

/// The entry of an operation.
#[expect(clippy::cast_possible_truncation, reason = "the remainder is below STAMP_COUNT")]
fn index(seq: u64) -> usize {
    (seq % STAMP_COUNT as u64) as usize
}

impl GuestStamps {
    /// Reads the stamps of an operation; `None` if the guest published none.
    pub fn load(region: &SharedRegion, seq: u64) -> Result<Option<Self>, RegionError> {
        let words = load(region, STAMPS + index(seq) * STAMP_WORDS * 8)?;
        Ok(Self::from_words(words).filter(|stamps| stamps.seq == seq))
    }
}
