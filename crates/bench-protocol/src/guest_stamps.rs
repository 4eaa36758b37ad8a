//! The guest's stamps, one record per operation, which the host collects when a block is over.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::layout::{PAGE, RECORD, RECORD_COUNT, RECORDS};
use doorbell::region::{RegionError, SharedRegion};

/// The guest's stamps of one operation, in ticks of its own counter; 0 where none was taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GuestStamps {
    /// The operation.
    pub seq: u64,
    /// G0: the interrupt handler was entered, where the driver says so.
    pub irq_entry: u64,
    /// G1: the guest knows.
    pub detected: u64,
    /// G2: RECEIVED stored.
    pub received: u64,
    /// G3: payload read.
    pub read: u64,
    /// G4: SHA-256 done.
    pub verified: u64,
    /// G5: PROCESSED or ERROR stored.
    pub acked: u64,
}

/// The guest's end of the records: looked up once, so that leaving one between two messages is seven stores.
#[derive(Debug, Clone, Copy)]
pub struct StampTable<'m> {
    words: &'m [AtomicU64],
}

impl<'m> StampTable<'m> {
    /// Finds the records, and touches every page of them, so that none is faulted in while operations are measured:
    /// under emulation that costs two microseconds, and sixty-four records share a page.
    pub fn new(region: &'m SharedRegion) -> Result<Self, RegionError> {
        let words = region.words(RECORDS, RECORD_COUNT * RECORD / 8)?;
        for word in words.iter().step_by(PAGE / 8) {
            // Writes, and changes nothing: the host may not have read the last block's records yet.
            word.fetch_or(0, Ordering::Relaxed);
        }
        Ok(Self { words })
    }

    /// Stores a record at its operation's place.
    #[inline]
    pub fn publish(&self, record: &GuestStamps) {
        let GuestStamps { seq, irq_entry, detected, received, read, verified, acked } = *record;
        let first = index(seq) * (RECORD / 8);
        let place = &self.words[first..first + 7];
        for (word, value) in place.iter().zip([seq, irq_entry, detected, received, read, verified, acked]) {
            word.store(value, Ordering::Relaxed);
        }
    }
}

/// Which of the records is an operation's.
#[expect(clippy::cast_possible_truncation, reason = "the remainder is below RECORD_COUNT")]
fn index(seq: u64) -> usize {
    (seq % RECORD_COUNT as u64) as usize
}

impl GuestStamps {
    /// Reads the record of an operation, `None` if the guest left none.
    pub fn load(region: &SharedRegion, seq: u64) -> Result<Option<Self>, RegionError> {
        let at = RECORDS + index(seq) * RECORD;
        let word = |i: usize| region.word(at + 8 * i).map(|w| w.load(Ordering::Relaxed));
        let record = Self {
            seq: word(0)?,
            irq_entry: word(1)?,
            detected: word(2)?,
            received: word(3)?,
            read: word(4)?,
            verified: word(5)?,
            acked: word(6)?,
        };
        Ok((record.seq == seq).then_some(record))
    }
}
