//! The guest's stamps, one record per operation, which the host collects when a block is over.

use std::sync::atomic::Ordering;

use crate::layout::{PAGE, RECORD, RECORD_COUNT, RECORDS};
use crate::region::{RegionError, SharedRegion};

/// The guest's stamps of one operation, in ticks of its own counter; 0 where none was taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Record {
    /// The operation.
    pub seq: u64,
    /// G0: the interrupt handler was entered, where the driver says so.
    pub interrupted: u64,
    /// G1: the guest knows.
    pub known: u64,
    /// G2: RECEIVED stored.
    pub received: u64,
    /// G3: payload read.
    pub read: u64,
    /// G4: SHA-256 done.
    pub verified: u64,
    /// G5: PROCESSED or ERROR stored.
    pub answered: u64,
}

impl Record {
    fn offset(seq: u64) -> usize {
        // The remainder is below RECORD_COUNT, which fits a usize.
        #[expect(clippy::cast_possible_truncation, reason = "the remainder is below RECORD_COUNT")]
        let index = (seq % RECORD_COUNT as u64) as usize;
        RECORDS + index * RECORD
    }

    /// Touches every page of records, so that none is faulted in while operations are measured: under emulation that
    /// costs two microseconds, and sixty-four records share a page.
    pub fn touch_all(region: &SharedRegion) -> Result<(), RegionError> {
        for at in (RECORDS..RECORDS + RECORD_COUNT * RECORD).step_by(PAGE) {
            region.word(at)?.store(0, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Stores the record at its operation's place.
    #[inline]
    pub fn publish(&self, region: &SharedRegion) -> Result<(), RegionError> {
        let at = Self::offset(self.seq);
        let words = [self.seq, self.interrupted, self.known, self.received, self.read, self.verified, self.answered];
        for (i, word) in words.into_iter().enumerate() {
            region.word(at + 8 * i)?.store(word, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Reads the record of an operation, `None` if the guest left none.
    pub fn load(region: &SharedRegion, seq: u64) -> Result<Option<Self>, RegionError> {
        let at = Self::offset(seq);
        let word = |i: usize| region.word(at + 8 * i).map(|w| w.load(Ordering::Relaxed));
        let record = Self {
            seq: word(0)?,
            interrupted: word(1)?,
            known: word(2)?,
            received: word(3)?,
            read: word(4)?,
            verified: word(5)?,
            answered: word(6)?,
        };
        Ok((record.seq == seq).then_some(record))
    }
}
