//! What the guest does with each message of a closed loop. This is the measured path: the protocol, the stamps, nothing
//! else.

use std::io;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};

use bench_protocol::ack::{END, PROCESSED, RECEIVED, Refusal, SENT, Tagged};
use bench_protocol::control::{Announcement, Flaw, WaitKind, Work};
use bench_protocol::frame::FrameHeader;
use bench_protocol::layout::{GUEST_ACK, HOST_MESSAGE, Layout, PAGE};
use bench_protocol::record::{Record, Records};
use doorbell::region::{RegionError, SharedRegion};
use doorbell::tsc::ticks;
use doorbell::wait::{Notifier, WaitError, Waiter};
use sha2::{Digest, Sha256};
use zerocopy::{FromZeros, IntoBytes};

use super::fault::FaultPolicy;

/// Words of a short message beside the message word: together one cache line.
const PAYLOAD: usize = 7;

/// Which frame of a block a guest corrupts that corrupts one: the first behind the warm-up.
const CORRUPTED: u64 = 3;

/// Why a block broke off. The host reads the text.
#[derive(Debug, thiserror::Error)]
pub(super) enum BlockError {
    #[error("the announcement makes no sense")]
    InvalidParams,
    #[error("{0}")]
    NoInterrupts(String),
    #[error("the host called the block off")]
    Aborted,
    #[error("{}", describe_wait(.0))]
    Wait(io::Error),
    #[error(transparent)]
    Region(#[from] RegionError),
}

/// All drivers report a device that is gone as EIO.
fn describe_wait(error: &io::Error) -> String {
    if error.raw_os_error() == Some(nix::errno::Errno::EIO as i32) {
        "the guest's device was unplugged, or taken from its driver".to_owned()
    } else {
        format!("waiting for a doorbell failed: {error}")
    }
}

/// What a block's messages came to.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Handled {
    /// Messages handled; in a storm, those that were seen at all.
    pub(super) operations: u64,
    /// The last one's sequence number.
    pub(super) last_seen: u64,
    /// Messages of a stream whose content was wrong.
    pub(super) mismatches: u64,
}

/// Waits as the block says; what ends the wait without a message is an error of the block.
pub(super) fn wait<W: Waiter, T>(
    waiter: &mut W,
    look: impl FnMut() -> Option<T>,
    idle: &impl Fn() -> ControlFlow<()>,
) -> Result<T, BlockError> {
    let called_off = || if idle().is_break() { Err(()) } else { Ok(()) };
    waiter.wait(look, called_off).map_err(|error| match error {
        WaitError::Source(source) => BlockError::Wait(source),
        WaitError::Abandoned(()) => BlockError::Aborted,
    })
}

/// A block's messages, and where they lie.
pub(super) struct MessageHandler<'m, C> {
    memory: &'m SharedRegion,
    layout: Layout,
    epoch: u64,
    block: Announcement,
    message: &'m AtomicU64,
    payload: [&'m AtomicU64; PAYLOAD],
    ack: &'m AtomicU64,
    stamp: &'m AtomicU64,
    records: Records<'m>,
    /// Private copy of a frame.
    frame: &'m mut [u8],
    /// Whether short messages get the stamps before their answer, too.
    stamps_all: bool,
    policy: C,
}

impl<'m, C: FaultPolicy> MessageHandler<'m, C> {
    pub(super) fn new(
        memory: &'m SharedRegion,
        layout: Layout,
        epoch: u64,
        block: Announcement,
        frame: &'m mut [u8],
        policy: C,
    ) -> Result<Self, BlockError> {
        let message = memory.word(HOST_MESSAGE)?;
        let mut payload = [message; PAYLOAD];
        for (i, word) in payload.iter_mut().enumerate() {
            *word = memory.word(HOST_MESSAGE + 8 + 8 * i)?;
        }
        let records = Records::new(memory)?;
        let (ack, stamp) = (memory.word(GUEST_ACK)?, memory.word(GUEST_ACK + 8)?);
        let stamps_all = block.stamped || block.guest_wait == WaitKind::Irq;
        Ok(Self { memory, layout, epoch, block, message, payload, ack, stamp, records, frame, stamps_all, policy })
    }

    /// Handles all messages of the block, or those before its END.
    pub(super) fn handle<W: Waiter, N: Notifier>(
        mut self,
        waiter: &mut W,
        notifier: &mut N,
        idle: impl Fn() -> ControlFlow<()>,
    ) -> Result<Handled, BlockError> {
        match self.block.work {
            Work::Clock => self.serve_each(waiter, &idle, |messages, seq, _| {
                messages.handshake(seq);
                Ok(())
            }),
            Work::Frame => {
                self.serve_each(waiter, &idle, |messages, seq, waiter| messages.frame(seq, waiter, notifier))
            }
            _ => self.serve_each(waiter, &idle, |messages, seq, waiter| messages.pingpong(seq, waiter, notifier)),
        }
    }

    /// Waits for each message and answers it. Kept out of line, so that this loop is by itself and small: emulation jumps
    /// directly from block to block only within a page, and looks each jump out of it up.
    #[inline(never)]
    fn serve_each<W: Waiter>(
        &mut self,
        waiter: &mut W,
        idle: &impl Fn() -> ControlFlow<()>,
        mut answer: impl FnMut(&mut Self, u64, &mut W) -> Result<(), BlockError>,
    ) -> Result<Handled, BlockError> {
        let (first, operations) = (self.block.first_seq, self.block.operations);
        for seq in first..first + operations {
            let (sent, end) = (Tagged::pack(seq, SENT), Tagged::pack(seq, END));
            let message = self.message;
            // SYNC POINT: the host's release of the message word; the payload is there.
            let look = || Some(message.load(Ordering::Acquire)).filter(|word| *word == sent || *word == end);
            if wait(waiter, look, idle)? == end {
                return Ok(Handled { operations: seq - first, last_seen: seq - 1, mismatches: 0 });
            }
            self.policy.stall(seq - first);
            answer(self, seq, waiter)?;
        }
        Ok(Handled { operations, last_seen: first + operations - 1, mismatches: 0 })
    }

    #[inline]
    fn write_ack(&self, seq: u64, state: u8) {
        // SYNC POINT: pairs with the host's acquire of the acknowledgement.
        self.ack.store(Tagged::pack(seq, state), Ordering::Release);
    }

    /// Stamps between the host's two stamps.
    fn handshake(&self, seq: u64) {
        self.stamp.store(self.policy.clock(self.epoch), Ordering::Relaxed);
        self.write_ack(seq, PROCESSED);
    }

    /// Both phases follow each other at once, so one doorbell tells of both. Where a guest spins back to back it stamps
    /// only behind its answer: under emulation the first stamp before it costs a sixth of a round trip.
    #[inline]
    fn pingpong(&self, seq: u64, waiter: &mut impl Waiter, notifier: &mut impl Notifier) -> Result<(), BlockError> {
        let known = if self.stamps_all { ticks() } else { 0 };
        let interrupted = waiter.entered().unwrap_or(0);
        self.write_ack(seq, RECEIVED);
        let received = if self.stamps_all { ticks() } else { 0 };
        let sum = self.payload.iter().fold(0, |sum, word| sum ^ word.load(Ordering::Relaxed));
        self.acknowledge_early(seq);
        // The answer lets the host send the next message, so the wait for it is announced first.
        waiter.prepare();
        let state = if sum == seq { PROCESSED } else { Refusal::Payload as u8 };
        let before = if self.stamps_all { self.policy.stamp() } else { 0 };
        self.write_ack(seq, state);
        let answered = if self.stamps_all { before } else { self.policy.stamp() };
        notifier.notify().map_err(BlockError::Wait)?;
        self.records.publish(&Record { seq, interrupted, known, received, answered, ..Record::default() });
        Ok(())
    }

    /// What a guest does that answers what nobody has said yet.
    #[inline]
    fn acknowledge_early(&self, seq: u64) {
        if self.policy.fires_at(Flaw::EarlyAck, seq - self.block.first_seq) {
            self.write_ack(seq + 1, PROCESSED);
            // Long enough for the host to look.
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }

    /// Copies the header, then the payload, and believes only the copies.
    fn frame(&mut self, seq: u64, waiter: &mut impl Waiter, notifier: &mut impl Notifier) -> Result<(), BlockError> {
        let known = ticks();
        let interrupted = waiter.entered().unwrap_or(0);
        self.write_ack(seq, RECEIVED);
        let received = ticks();
        notifier.notify().map_err(BlockError::Wait)?;

        let mut record = Record { seq, interrupted, known, received, ..Record::default() };
        let state = match self.slot(seq)? {
            None => Refusal::Header as u8,
            Some((payload_at, len, sha256)) => {
                self.read(payload_at, len, &mut record)?;
                if self.policy.fault() == Some(Flaw::CorruptFrame) && seq == self.block.first_seq + CORRUPTED {
                    self.frame[len / 2] ^= 1;
                }
                let digest = self.verify(len, &mut record);
                let right = digest == sha256 || self.policy.is_active(Flaw::SkipVerify);
                if right { PROCESSED } else { Refusal::Hash as u8 }
            }
        };
        waiter.prepare();
        record.answered = self.policy.stamp();
        self.write_ack(seq, state);
        notifier.notify().map_err(BlockError::Wait)?;
        self.records.publish(&record);
        Ok(())
    }

    /// Copies the payload out. A quarter of it is enough for a guest that claims more than it has done.
    #[inline]
    fn read(&mut self, at: usize, len: usize, record: &mut Record) -> Result<(), RegionError> {
        if self.policy.is_active(Flaw::ShortRead) {
            let quarter = len / 4;
            self.memory.copy_out(at, &mut self.frame[..quarter])?;
            record.read = ticks();
            return self.memory.copy_out(at + quarter, &mut self.frame[quarter..len]);
        }
        self.memory.copy_out(at, &mut self.frame[..len])?;
        if !self.policy.is_active(Flaw::ShortVerify) {
            record.read = ticks();
        }
        Ok(())
    }

    #[inline]
    fn verify(&self, len: usize, record: &mut Record) -> [u8; 32] {
        let digest = Sha256::digest(&self.frame[..len]).into();
        if self.policy.is_active(Flaw::ShortVerify) {
            record.read = ticks();
        }
        record.verified = ticks();
        digest
    }

    /// Where the frame's bytes are, how many, and their hash; `None` if slot or header make no sense.
    fn slot(&self, seq: u64) -> Result<Option<(usize, usize, [u8; 32])>, RegionError> {
        let Some(at) = self.layout.slot(self.payload[0].load(Ordering::Relaxed)) else { return Ok(None) };
        let mut header = FrameHeader::new_zeroed();
        self.memory.copy_out(at, header.as_mut_bytes())?;
        Ok(header.validate(seq, &self.layout).map(|len| (at + PAGE, len, header.sha256)))
    }
}
