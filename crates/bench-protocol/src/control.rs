//! The host's commands to the guest: a command word with parameters, and a status word.
//!
//! The host writes the parameters, then `epoch << 8 | RUN`. The guest prepares and writes the status `epoch << 8 | READY`.
//! After the last message it publishes its counters and writes `epoch << 8 | DONE`. Commands ring no doorbell, so the
//! doorbells of a block are those of its messages.

use std::sync::atomic::Ordering;

pub use bench_model::{Fault, WaitMode};
use doorbell::region::{RegionError, SharedRegion};
use strum::VariantArray;

use crate::ack::SeqState;
use crate::memory_map::{GUEST_STATUS, HOST_COMMAND, HOST_PARAMS, LINE_WORDS, STAMP_COUNT};
use crate::words::{Word, enumerated, load, store, word_struct};

/// Command: run a block.
pub const RUN: u8 = 1;
/// Command: abort the block of this epoch.
pub const ABORT: u8 = 2;
/// Command: end the run.
pub const FINISH: u8 = 3;
/// Status: ready for the block's first message.
pub const READY: u8 = 1;
/// Status: the block has ended and its counters are published.
pub const DONE: u8 = 2;
/// Status: the block was refused or aborted. The text has the reason.
pub const FAILED: u8 = 3;

/// What the guest does in a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::VariantArray)]
pub enum BlockKind {
    /// Clock handshakes: the guest's time stamp follows the acknowledgement word.
    Clock,
    /// Short messages of one cache line, each acknowledged.
    Messages,
    /// Frames in slots.
    Frame,
    /// Messages in a ring of slots, without waiting for each acknowledgement.
    Stream,
    /// Messages and doorbells. Only the last one is acknowledged.
    Storm,
    /// No messages: the guest measures its peak bandwidth and writes it as text.
    PeakBandwidth,
}

impl Word for BlockKind {
    fn to_word(self) -> u64 {
        self as u64 + 1
    }
    fn from_word(word: u64) -> Option<Self> {
        enumerated(Self::VARIANTS, word)
    }
}

impl Word for WaitMode {
    fn to_word(self) -> u64 {
        self as u64 + 1
    }
    fn from_word(word: u64) -> Option<Self> {
        enumerated(&Self::ALL, word)
    }
}

impl Word for Option<Fault> {
    fn to_word(self) -> u64 {
        self.map_or(0, |fault| fault as u64 + 1)
    }
    fn from_word(word: u64) -> Option<Self> {
        if word == 0 { Some(None) } else { enumerated(&Fault::ALL, word).map(Some) }
    }
}

word_struct! {
    /// The parameters of a block.
    pub struct BlockParams {
        /// What the guest does.
        pub kind: BlockKind,
        /// The guest's wait mode.
        pub guest_wait: WaitMode,
        /// The host's wait mode. It decides whether the guest rings.
        pub host_wait: WaitMode,
        /// Number of messages; with stamps at most [`STAMP_COUNT`]. Streams send more, until END.
        pub operations: u64,
        /// The sequence number of the first message. The others follow it.
        pub first_seq: u64,
        /// Spin time of hybrid waits, in ticks of the time stamp counter.
        pub spin_ticks: u64,
        /// Streams: slots of the ring.
        pub slots: u64,
        /// Streams: bytes per message. Peak bandwidth: bytes per copy.
        pub bytes: u64,
        /// Streams: each side rings for every message, and not only for an armed receiver.
        pub always_ring: bool,
        /// The fault that the guest injects.
        pub fault: Option<Fault>,
        /// The guest takes all time stamps before it acknowledges. Otherwise it takes one after it.
        pub stamped: bool,
    }
}

const _: () = assert!(BlockParams::WORDS < LINE_WORDS);

impl BlockParams {
    /// A block in which both sides poll. The parameters that not every kind of block has are zero.
    #[must_use]
    pub const fn polling(kind: BlockKind, first_seq: u64, operations: u64) -> Self {
        Self {
            kind,
            guest_wait: WaitMode::Poll,
            host_wait: WaitMode::Poll,
            operations,
            first_seq,
            spin_ticks: 0,
            slots: 0,
            bytes: 0,
            always_ring: false,
            fault: None,
            stamped: false,
        }
    }

    /// Writes the parameters and then the command word.
    pub fn publish(&self, region: &SharedRegion, epoch: u64) -> Result<(), RegionError> {
        store(region, HOST_PARAMS, &self.to_words())?;
        write_command(region, epoch, RUN)
    }

    /// Reads the parameters of a RUN command; `None` if they are not valid.
    pub fn read(region: &SharedRegion) -> Result<Option<Self>, RegionError> {
        let block = Self::from_words(load(region, HOST_PARAMS)?);
        Ok(block.filter(|block| (1..=STAMP_COUNT as u64).contains(&block.operations) && block.first_seq >> 55 == 0))
    }
}

/// Writes the command word.
pub fn write_command(region: &SharedRegion, epoch: u64, command: u8) -> Result<(), RegionError> {
    region.word(HOST_COMMAND)?.store(SeqState::pack(epoch, command), Ordering::Release);
    Ok(())
}

/// Reads the command word.
pub fn read_command(region: &SharedRegion) -> Result<SeqState, RegionError> {
    Ok(SeqState::unpack(region.word(HOST_COMMAND)?.load(Ordering::Acquire)))
}

/// Writes the status word.
pub fn write_status(region: &SharedRegion, epoch: u64, state: u8) -> Result<(), RegionError> {
    region.word(GUEST_STATUS)?.store(SeqState::pack(epoch, state), Ordering::Release);
    Ok(())
}

/// Reads the status word.
pub fn read_status(region: &SharedRegion) -> Result<SeqState, RegionError> {
    Ok(SeqState::unpack(region.word(GUEST_STATUS)?.load(Ordering::Acquire)))
}
