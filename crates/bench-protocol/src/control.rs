//! How the host drives the guest through shared memory: one command word, one status word, and what goes with them.
//!
//! The host writes the parameters, then `epoch << 8 | RUN`. The guest prepares and answers `epoch << 8 | READY`; when it
//! has handled as many messages as were announced it publishes its counters and answers `epoch << 8 | DONE`. Nothing of
//! this rings a doorbell, so that a block's doorbells are those of its messages.

use std::sync::atomic::Ordering;

use crate::ack::SeqState;
use crate::layout::{self, GUEST_STATUS, HOST_COMMAND};
pub use bench_model::{Fault, WaitMode};
use doorbell::region::{RegionError, SharedRegion};

/// Words behind the command word.
pub const PARAMETERS: usize = 11;

/// Command: handle a block of messages.
pub const RUN: u8 = 1;
/// Command: give the block of this epoch up.
pub const ABORT: u8 = 2;
/// Command: the run is over.
pub const FINISH: u8 = 3;
/// Status: ready for the block's first message.
pub const READY: u8 = 1;
/// Status: the block is over and its counters are published.
pub const DONE: u8 = 2;
/// Status: the block cannot be run, or broke off; the text says why.
pub const FAILED: u8 = 3;

/// What a block's messages are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockKind {
    /// Handshakes of the clocks: the guest's stamp stands beside its acknowledgement.
    Clock,
    /// 64-byte messages.
    Pingpong,
    /// Frames in slots.
    Frame,
    /// A ring of slots, filled as fast as it is emptied.
    Stream,
    /// Messages and doorbells that wait for no answer but the last one's.
    Storm,
    /// No message: the guest measures its ceilings and says them.
    PeakBandwidth,
}

impl BlockKind {
    const ALL: [Self; 6] = [Self::Clock, Self::Pingpong, Self::Frame, Self::Stream, Self::Storm, Self::PeakBandwidth];
}

/// The enumeration value in a parameter word: its position in `all` plus one, because an unwritten word is zero.
fn from_word<T: Copy>(all: &[T], word: u64) -> Option<T> {
    all.get(usize::try_from(word).ok()?.checked_sub(1)?).copied()
}

/// A block, as the host announces it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockParams {
    /// What the messages are.
    pub kind: BlockKind,
    /// How the guest is to wait for them.
    pub guest_wait: WaitMode,
    /// How the host waits for the answers: whether it wants to be rung.
    pub host_wait: WaitMode,
    /// How many messages there will be, at most [`layout::RECORD_COUNT`]. Fewer if END comes before.
    pub operations: u64,
    /// The sequence number of the first; the others follow.
    pub first_seq: u64,
    /// How long a hybrid wait spins before it blocks, in ticks of the time stamp counter.
    pub spin_ticks: u64,
    /// Streams: slots of the ring.
    pub slots: u64,
    /// Streams: bytes per message. PeakBandwidth: bytes that are copied.
    pub bytes: u64,
    /// Streams: whether each side rings for every message instead of only for a receiver that is armed.
    pub always_ring: bool,
    /// Whether a guest takes every stamp before it answers, or only one and behind its answer.
    pub stamped: bool,
    /// In which way the guest is to be broken.
    pub fault: Option<Fault>,
}

impl BlockParams {
    /// Writes the parameters and then the command word.
    pub fn publish(&self, region: &SharedRegion, epoch: u64) -> Result<(), RegionError> {
        let words = [
            self.kind as u64 + 1,
            self.guest_wait as u64 + 1,
            self.host_wait as u64 + 1,
            self.operations,
            self.first_seq,
            self.spin_ticks,
            self.slots,
            self.bytes,
            u64::from(self.always_ring),
            self.fault.map_or(0, |fault| fault as u64 + 1),
            u64::from(self.stamped),
        ];
        for (i, word) in words.into_iter().enumerate() {
            region.word(HOST_COMMAND + 8 + 8 * i)?.store(word, Ordering::Relaxed);
        }
        write_command(region, epoch, RUN)
    }

    /// Reads the parameters of a RUN command; `None` if they make no sense.
    pub fn read(region: &SharedRegion) -> Result<Option<Self>, RegionError> {
        let parameter = |i: usize| region.word(HOST_COMMAND + 8 + 8 * i).map(|w| w.load(Ordering::Relaxed));
        let (operations, first_seq) = (parameter(3)?, parameter(4)?);
        let (spin_ticks, slots, bytes) = (parameter(5)?, parameter(6)?, parameter(7)?);
        let (always_ring, fault, stamped) =
            (parameter(8)? != 0, from_word(&Fault::ALL, parameter(9)?), parameter(10)? != 0);
        let (Some(kind), Some(guest_wait), Some(host_wait)) = (
            from_word(&BlockKind::ALL, parameter(0)?),
            from_word(&WaitMode::ALL, parameter(1)?),
            from_word(&WaitMode::ALL, parameter(2)?),
        ) else {
            return Ok(None);
        };
        if operations == 0 || operations > layout::RECORD_COUNT as u64 || first_seq >> 55 != 0 {
            return Ok(None);
        }
        Ok(Some(Self {
            kind,
            guest_wait,
            host_wait,
            operations,
            first_seq,
            spin_ticks,
            slots,
            bytes,
            always_ring,
            stamped,
            fault,
        }))
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
