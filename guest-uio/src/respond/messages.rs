//! What the guest does with each message. This is the measured path: the protocol, the stamps, nothing else.

use std::io;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};

use proto::ack::{PROCESSED, RECEIVED, Refusal, SENT, Tagged};
use proto::clock::ticks;
use proto::control::{Announcement, WaitKind, Work};
use proto::frame::FrameHeader;
use proto::layout::{GUEST_ACK, HOST_MESSAGE, Layout, PAGE};
use proto::record::Record;
use proto::region::{RegionError, SharedRegion};
use proto::wait::{Notifier, WaitCounts, WaitError, Waiter};
use sha2::{Digest, Sha256};
use zerocopy::{FromZeros, IntoBytes};

/// Words of a short message beside the message word: together one cache line.
const PAYLOAD: usize = 7;

/// Why a block broke off. The host reads the text.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    #[error("the announcement makes no sense")]
    Nonsense,
    #[error("{0}")]
    Deaf(String),
    #[error("the host called the block off")]
    CalledOff,
    #[error("waiting for a doorbell failed: {0}")]
    Wait(io::Error),
    #[error(transparent)]
    Region(#[from] RegionError),
}

/// A block's messages, and where they lie.
pub(super) struct Messages<'m> {
    memory: &'m SharedRegion,
    layout: Layout,
    block: Announcement,
    message: &'m AtomicU64,
    payload: [&'m AtomicU64; PAYLOAD],
    ack: &'m AtomicU64,
    stamp: &'m AtomicU64,
    /// Private copy of a frame. Touched before the block, so that no page is faulted in during it.
    frame: Vec<u8>,
}

impl<'m> Messages<'m> {
    pub(super) fn new(memory: &'m SharedRegion, layout: Layout, block: Announcement) -> Result<Self, Broken> {
        let message = memory.word(HOST_MESSAGE)?;
        let mut payload = [message; PAYLOAD];
        for (i, word) in payload.iter_mut().enumerate() {
            *word = memory.word(HOST_MESSAGE + 8 + 8 * i)?;
        }
        let bytes = if block.work == Work::Frame { layout.payload_bytes() } else { 0 };
        let frame = vec![1; bytes];
        Record::touch_all(memory)?;
        let (ack, stamp) = (memory.word(GUEST_ACK)?, memory.word(GUEST_ACK + 8)?);
        Ok(Self { memory, layout, block, message, payload, ack, stamp, frame })
    }

    /// Handles all messages of the block; the counts, the doorbells rung, the messages handled.
    pub(super) fn handle<W: Waiter, N: Notifier>(
        mut self,
        mut waiter: W,
        mut notifier: N,
        idle: impl Fn() -> ControlFlow<()>,
    ) -> Result<(WaitCounts, u64, u64), Broken> {
        let first = self.block.first_seq;
        for seq in first..first + self.block.operations {
            let expected = Tagged::pack(seq, SENT);
            // SYNC POINT: the host's release of the message word; the payload is there.
            let look = || (self.message.load(Ordering::Acquire) == expected).then_some(());
            let called_off = || if idle().is_break() { Err(()) } else { Ok(()) };
            waiter.wait(look, called_off).map_err(|error| match error {
                WaitError::Source(source) => Broken::Wait(source),
                WaitError::Abandoned(()) => Broken::CalledOff,
            })?;
            match self.block.work {
                Work::Clock => self.handshake(seq),
                Work::Pingpong => self.pingpong(seq, &mut waiter, &mut notifier)?,
                Work::Frame => self.frame(seq, &mut waiter, &mut notifier)?,
            }
        }
        Ok((waiter.counts(), notifier.rings(), self.block.operations))
    }

    #[inline]
    fn answer(&self, seq: u64, state: u8) {
        // SYNC POINT: pairs with the host's acquire of the acknowledgement.
        self.ack.store(Tagged::pack(seq, state), Ordering::Release);
    }

    /// Stamps between the host's two stamps.
    fn handshake(&self, seq: u64) {
        self.stamp.store(ticks(), Ordering::Relaxed);
        self.answer(seq, PROCESSED);
    }

    /// Both phases follow each other at once, so one doorbell tells of both. A polling guest stamps only after its
    /// answer: reading the counter is slow under emulation, and the host waits meanwhile.
    #[inline]
    fn pingpong(&self, seq: u64, waiter: &mut impl Waiter, notifier: &mut impl Notifier) -> Result<(), Broken> {
        let known = if self.block.guest_wait == WaitKind::Poll { 0 } else { ticks() };
        let interrupted = waiter.entered().unwrap_or(0);
        self.answer(seq, RECEIVED);
        let sum = self.payload.iter().fold(0, |sum, word| sum ^ word.load(Ordering::Relaxed));
        // The answer lets the host send the next message, so the wait for it is announced first.
        waiter.prepare();
        self.answer(seq, if sum == seq { PROCESSED } else { Refusal::Payload as u8 });
        let answered = ticks();
        notifier.notify().map_err(Broken::Wait)?;
        Ok(Record { seq, interrupted, known, answered, ..Record::default() }.publish(self.memory)?)
    }

    /// Copies the header, then the payload, and believes only the copies.
    fn frame(&mut self, seq: u64, waiter: &mut impl Waiter, notifier: &mut impl Notifier) -> Result<(), Broken> {
        let known = ticks();
        let interrupted = waiter.entered().unwrap_or(0);
        self.answer(seq, RECEIVED);
        let received = ticks();
        notifier.notify().map_err(Broken::Wait)?;

        let mut record = Record { seq, interrupted, known, received, ..Record::default() };
        let state = match self.slot(seq)? {
            None => Refusal::Header as u8,
            Some((payload_at, len, sha256)) => {
                let frame = &mut self.frame[..len];
                self.memory.copy_out(payload_at, frame)?;
                record.read = ticks();
                let digest: [u8; 32] = Sha256::digest(&*frame).into();
                record.verified = ticks();
                if digest == sha256 { PROCESSED } else { Refusal::Hash as u8 }
            }
        };
        waiter.prepare();
        self.answer(seq, state);
        record.answered = ticks();
        notifier.notify().map_err(Broken::Wait)?;
        Ok(record.publish(self.memory)?)
    }

    /// Where the frame's bytes are, how many, and their hash; `None` if slot or header make no sense.
    fn slot(&self, seq: u64) -> Result<Option<(usize, usize, [u8; 32])>, RegionError> {
        let Some(at) = self.layout.slot(self.payload[0].load(Ordering::Relaxed)) else { return Ok(None) };
        let mut header = FrameHeader::new_zeroed();
        self.memory.copy_out(at, header.as_mut_bytes())?;
        Ok(header.validate(seq, &self.layout).map(|len| (at + PAGE, len, header.sha256)))
    }
}
