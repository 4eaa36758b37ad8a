//! How the host drives the guest through shared memory: one command word, one status word, and what goes with them.
//!
//! The host writes the parameters, then `epoch << 8 | RUN`. The guest prepares and answers `epoch << 8 | READY`; when it
//! has handled as many messages as were announced it publishes its counters and answers `epoch << 8 | DONE`. Nothing of
//! this rings a doorbell, so that a block's doorbells are those of its messages.

use std::sync::atomic::Ordering;

use crate::ack::Tagged;
use crate::layout::{self, GUEST_COUNTERS, GUEST_HELLO, GUEST_STATUS, HOST_COMMAND, RECORD, RECORDS, TEXT, TEXT_BYTES};
use crate::region::{RegionError, SharedRegion};

/// Words behind the command word.
pub const PARAMETERS: usize = 5;
/// Words of counters.
pub const COUNTERS: usize = 8;
/// A counter that the guest cannot see.
const UNKNOWN: u64 = u64::MAX;

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
}

impl Work {
    fn of(word: u64) -> Option<Self> {
        [Self::Clock, Self::Pingpong, Self::Frame].into_iter().find(|work| *work as u64 == word)
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
}

impl WaitKind {
    fn of(word: u64) -> Option<Self> {
        [Self::Poll, Self::Irq].into_iter().find(|kind| *kind as u64 == word)
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
    /// How many messages there will be, at most [`layout::RECORD_COUNT`].
    pub operations: u64,
    /// The sequence number of the first; the others follow.
    pub first_seq: u64,
}

impl Announcement {
    /// Writes the parameters and then the command word.
    pub fn publish(&self, region: &SharedRegion, epoch: u64) -> Result<(), RegionError> {
        let words = [self.work as u64, self.guest_wait as u64, self.host_wait as u64, self.operations, self.first_seq];
        for (i, word) in words.into_iter().enumerate() {
            region.word(HOST_COMMAND + 8 + 8 * i)?.store(word, Ordering::Relaxed);
        }
        command(region, epoch, RUN)
    }

    /// Reads the parameters of a RUN command; `None` if they make no sense.
    pub fn read(region: &SharedRegion) -> Result<Option<Self>, RegionError> {
        let parameter = |i: usize| region.word(HOST_COMMAND + 8 + 8 * i).map(|w| w.load(Ordering::Relaxed));
        let (operations, first_seq) = (parameter(3)?, parameter(4)?);
        let (Some(work), Some(guest_wait), Some(host_wait)) =
            (Work::of(parameter(0)?), WaitKind::of(parameter(1)?), WaitKind::of(parameter(2)?))
        else {
            return Ok(None);
        };
        if operations == 0 || operations > layout::RECORD_COUNT as u64 || first_seq >> 55 != 0 {
            return Ok(None);
        }
        Ok(Some(Self { work, guest_wait, host_wait, operations, first_seq }))
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

/// What the guest counted in a block.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GuestCounters {
    /// Interrupts of the device in /proc/interrupts.
    pub interrupts: Option<u64>,
    /// Events of the driver's descriptor.
    pub events: Option<u64>,
    /// Times it blocked.
    pub waits: u64,
    /// Messages found after arming, without blocking.
    pub found_armed: u64,
    /// Waits that the guard ended although the message was there.
    pub deadline_wakeups: u64,
    /// Doorbells rung and not seen within a second more.
    pub lost_wakeups: u64,
    /// Doorbells that the guest rang.
    pub rings: u64,
    /// Messages handled.
    pub operations: u64,
}

impl GuestCounters {
    /// Writes the counters; the status word that follows makes them visible.
    pub fn publish(&self, region: &SharedRegion) -> Result<(), RegionError> {
        let words = [
            self.interrupts.unwrap_or(UNKNOWN),
            self.events.unwrap_or(UNKNOWN),
            self.waits,
            self.found_armed,
            self.deadline_wakeups,
            self.lost_wakeups,
            self.rings,
            self.operations,
        ];
        for (i, word) in words.into_iter().enumerate() {
            region.word(GUEST_COUNTERS + 8 * i)?.store(word, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Reads the counters, after the status word said DONE.
    pub fn read(region: &SharedRegion) -> Result<Self, RegionError> {
        let mut words = [0; COUNTERS];
        for (i, word) in words.iter_mut().enumerate() {
            *word = region.word(GUEST_COUNTERS + 8 * i)?.load(Ordering::Relaxed);
        }
        let known = |word| (word != UNKNOWN).then_some(word);
        let [interrupts, events, waits, found_armed, deadline_wakeups, lost_wakeups, rings, operations] = words;
        Ok(Self {
            interrupts: known(interrupts),
            events: known(events),
            waits,
            found_armed,
            deadline_wakeups,
            lost_wakeups,
            rings,
            operations,
        })
    }
}

/// The guest's answer to a header: who it is, and what it can do in its own words (JSON).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// The guest's id, from its `IVPosition` register.
    pub peer: u16,
    /// What it says of itself.
    pub text: String,
}

impl Hello {
    /// Answers to the run with this nonce.
    pub fn publish(&self, region: &SharedRegion, nonce: u64) -> Result<(), RegionError> {
        say(region, &self.text)?;
        region.word(GUEST_HELLO + 8)?.store(u64::from(self.peer), Ordering::Relaxed);
        region.word(GUEST_HELLO)?.store(nonce, Ordering::Release);
        Ok(())
    }

    /// Reads the answer, `None` while there is none to this nonce.
    pub fn read(region: &SharedRegion, nonce: u64) -> Result<Option<Self>, RegionError> {
        if region.word(GUEST_HELLO)?.load(Ordering::Acquire) != nonce {
            return Ok(None);
        }
        // An id beyond 16 bits is no id; 65535 is one that no guest of ours can have before 65,535 others had theirs.
        let peer = u16::try_from(region.word(GUEST_HELLO + 8)?.load(Ordering::Relaxed)).unwrap_or(u16::MAX);
        Ok(Some(Self { peer, text: said(region)? }))
    }
}

/// Writes the guest's text; cut to what fits.
pub fn say(region: &SharedRegion, text: &str) -> Result<(), RegionError> {
    let bytes = &text.as_bytes()[..text.len().min(TEXT_BYTES)];
    region.copy_in(TEXT + 8, bytes)?;
    region.word(TEXT)?.store(bytes.len() as u64, Ordering::Release);
    Ok(())
}

/// Reads the guest's text, whatever it holds.
pub fn said(region: &SharedRegion) -> Result<String, RegionError> {
    let len = usize::try_from(region.word(TEXT)?.load(Ordering::Acquire)).unwrap_or(usize::MAX).min(TEXT_BYTES);
    let mut bytes = vec![0; len];
    region.copy_out(TEXT + 8, &mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The guest's stamps of one operation, in ticks of its own counter; 0 where none was taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Record {
    /// The operation.
    pub seq: u64,
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
        let index = (seq % layout::RECORD_COUNT as u64) as usize;
        RECORDS + index * RECORD
    }

    /// Stores the record at its operation's place.
    #[inline]
    pub fn publish(&self, region: &SharedRegion) -> Result<(), RegionError> {
        let at = Self::offset(self.seq);
        let words = [self.seq, self.known, self.received, self.read, self.verified, self.answered];
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
            known: word(1)?,
            received: word(2)?,
            read: word(3)?,
            verified: word(4)?,
            answered: word(5)?,
        };
        Ok((record.seq == seq).then_some(record))
    }
}
