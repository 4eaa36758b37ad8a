//! How the host drives the guest through shared memory: one command word, one status word, and what goes with them.
//!
//! The host writes the parameters, then `epoch << 8 | RUN`. The guest prepares and answers `epoch << 8 | READY`; when it
//! has handled as many messages as were announced it publishes its counters and answers `epoch << 8 | DONE`. Nothing of
//! this rings a doorbell, so that a block's doorbells are those of its messages.

use std::sync::atomic::Ordering;

use crate::ack::Tagged;
use crate::layout::{self, GUEST_STATUS, HOST_COMMAND};
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
#[repr(u64)]
pub enum Work {
    /// Handshakes of the clocks: the guest's stamp stands beside its acknowledgement.
    Clock = 1,
    /// 64-byte messages.
    Pingpong = 2,
    /// Frames in slots.
    Frame = 3,
    /// A ring of slots, filled as fast as it is emptied.
    Stream = 4,
    /// Messages and doorbells that wait for no answer but the last one's.
    Storm = 5,
    /// No message: the guest measures its ceilings and says them.
    Ceilings = 6,
}

impl Work {
    fn of(word: u64) -> Option<Self> {
        [Self::Clock, Self::Pingpong, Self::Frame, Self::Stream, Self::Storm, Self::Ceilings]
            .into_iter()
            .find(|work| *work as u64 == word)
    }
}

/// A way in which a guest is told to be broken, to see that the host notices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub enum Flaw {
    /// Stamps a frame as read when it has read a quarter of it.
    ShortRead = 1,
    /// Flips a bit of its copy of one frame.
    CorruptFrame = 2,
    /// Ignores what a frame's hash says.
    SkipVerify = 3,
    /// Acknowledges a message before it was sent.
    EarlyAck = 4,
    /// Does not report a storm's last message.
    BlindStorm = 5,
    /// Counts one doorbell that it does not ring.
    DropAnswer = 6,
    /// Sleeps where it is to poll.
    Sleepy = 7,
    /// Stamps its answers a millisecond late.
    WrongStamp = 8,
    /// Hashes a frame before it stamps it as read.
    ShortVerify = 9,
    /// Moves its clock by a tenth of a millisecond from one comparison to the next.
    DriftingClock = 10,
    /// Stands still for a fifth of a second.
    Stall = 11,
}

impl Flaw {
    fn of(word: u64) -> Option<Self> {
        [
            Self::ShortRead,
            Self::CorruptFrame,
            Self::SkipVerify,
            Self::EarlyAck,
            Self::BlindStorm,
            Self::DropAnswer,
            Self::Sleepy,
            Self::WrongStamp,
            Self::ShortVerify,
            Self::DriftingClock,
            Self::Stall,
        ]
        .into_iter()
        .find(|flaw| *flaw as u64 == word)
    }
}

/// How a side waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub enum WaitKind {
    /// Spins.
    Poll = 1,
    /// Blocks.
    Irq = 2,
    /// Spins for a while, and then blocks.
    Hybrid = 3,
}

impl WaitKind {
    fn of(word: u64) -> Option<Self> {
        [Self::Poll, Self::Irq, Self::Hybrid].into_iter().find(|kind| *kind as u64 == word)
    }
}

/// A block, as the host announces it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Announcement {
    /// What the messages are.
    pub work: Work,
    /// How the guest is to wait for them.
    pub guest_wait: WaitKind,
    /// How the host waits for the answers: whether it wants to be rung.
    pub host_wait: WaitKind,
    /// How many messages there will be, at most [`layout::RECORD_COUNT`]. Fewer if END comes before.
    pub operations: u64,
    /// The sequence number of the first; the others follow.
    pub first_seq: u64,
    /// How long a hybrid wait spins before it blocks, in ticks of the time stamp counter.
    pub spin_ticks: u64,
    /// Streams: slots of the ring.
    pub slots: u64,
    /// Streams: bytes per message. Ceilings: bytes that are copied.
    pub bytes: u64,
    /// Streams: whether each side rings for every message instead of only for a receiver that is armed.
    pub always_ring: bool,
    /// Whether a guest takes every stamp before it answers, or only one and behind its answer.
    pub stamped: bool,
    /// In which way the guest is to be broken.
    pub flaw: Option<Flaw>,
}

impl Announcement {
    /// Writes the parameters and then the command word.
    pub fn publish(&self, region: &SharedRegion, epoch: u64) -> Result<(), RegionError> {
        let words = [
            self.work as u64,
            self.guest_wait as u64,
            self.host_wait as u64,
            self.operations,
            self.first_seq,
            self.spin_ticks,
            self.slots,
            self.bytes,
            u64::from(self.always_ring),
            self.flaw.map_or(0, |flaw| flaw as u64),
            u64::from(self.stamped),
        ];
        for (i, word) in words.into_iter().enumerate() {
            region.word(HOST_COMMAND + 8 + 8 * i)?.store(word, Ordering::Relaxed);
        }
        command(region, epoch, RUN)
    }

    /// Reads the parameters of a RUN command; `None` if they make no sense.
    pub fn read(region: &SharedRegion) -> Result<Option<Self>, RegionError> {
        let parameter = |i: usize| region.word(HOST_COMMAND + 8 + 8 * i).map(|w| w.load(Ordering::Relaxed));
        let (operations, first_seq) = (parameter(3)?, parameter(4)?);
        let (spin_ticks, slots, bytes) = (parameter(5)?, parameter(6)?, parameter(7)?);
        let (always_ring, flaw, stamped) = (parameter(8)? != 0, Flaw::of(parameter(9)?), parameter(10)? != 0);
        let (Some(work), Some(guest_wait), Some(host_wait)) =
            (Work::of(parameter(0)?), WaitKind::of(parameter(1)?), WaitKind::of(parameter(2)?))
        else {
            return Ok(None);
        };
        if operations == 0 || operations > layout::RECORD_COUNT as u64 || first_seq >> 55 != 0 {
            return Ok(None);
        }
        Ok(Some(Self {
            work,
            guest_wait,
            host_wait,
            operations,
            first_seq,
            spin_ticks,
            slots,
            bytes,
            always_ring,
            stamped,
            flaw,
        }))
    }
}

/// Writes the command word.
pub fn command(region: &SharedRegion, epoch: u64, kind: u8) -> Result<(), RegionError> {
    region.word(HOST_COMMAND)?.store(Tagged::pack(epoch, kind), Ordering::Release);
    Ok(())
}

/// Reads the command word.
pub fn commanded(region: &SharedRegion) -> Result<Tagged, RegionError> {
    Ok(Tagged::unpack(region.word(HOST_COMMAND)?.load(Ordering::Acquire)))
}

/// Writes the status word.
pub fn report(region: &SharedRegion, epoch: u64, state: u8) -> Result<(), RegionError> {
    region.word(GUEST_STATUS)?.store(Tagged::pack(epoch, state), Ordering::Release);
    Ok(())
}

/// Reads the status word.
pub fn reported(region: &SharedRegion) -> Result<Tagged, RegionError> {
    Ok(Tagged::unpack(region.word(GUEST_STATUS)?.load(Ordering::Acquire)))
}
