//! Waits for messages and handles short ones; `frame` handles frames. Measured path: only the protocol and the stamps.

use std::io;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};

use bench_protocol::ack::{END, NackReason, PROCESSED, RECEIVED, SENT, SeqState};
use bench_protocol::control::{BlockParams, Fault};
use bench_protocol::guest_stamps::{GuestStamps, StampTable};
use bench_protocol::layout::Layout;
use bench_protocol::memory_map::{GUEST_ACK, GUEST_STAMP, HOST_MESSAGE, HOST_PAYLOAD, PAYLOAD_WORDS};
use doorbell::notify::Notifier;
use doorbell::region::{RegionError, SharedRegion};
use doorbell::tsc::tsc_now;
use doorbell::wait::{WaitError, Waiter};

use super::fault::FaultPolicy;
use crate::driver::is_removed;

/// Why a block was aborted. The text is sent to the host.
#[derive(Debug, thiserror::Error)]
pub(super) enum BlockError {
    #[error("invalid block parameters")]
    InvalidParams,
    #[error("{0}")]
    NoInterrupts(String),
    #[error("the host aborted the block")]
    Aborted,
    #[error("{}", describe_wait(.0))]
    Wait(io::Error),
    #[error(transparent)]
    Region(#[from] RegionError),
}

fn describe_wait(error: &io::Error) -> String {
    if is_removed(error) {
        "the guest's device was unplugged, or taken from its driver".to_owned()
    } else {
        format!("waiting for a doorbell failed: {error}")
    }
}

/// Totals of a block's messages.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Handled {
    /// Messages handled; in a storm, messages received.
    pub(super) operations: u64,
    /// Sequence number of the last message.
    pub(super) last_seen: u64,
    /// Messages of a stream with wrong content.
    pub(super) mismatches: u64,
}

/// Waits for a message. A failed or aborted wait aborts the block.
pub(super) fn wait<W: Waiter, T>(
    waiter: &mut W,
    look: impl FnMut() -> Option<T>,
    idle: &impl Fn() -> ControlFlow<()>,
) -> Result<T, BlockError> {
    let check_abort = || if idle().is_break() { Err(()) } else { Ok(()) };
    waiter.wait(look, check_abort).map_err(|error| match error {
        WaitError::Source(source) => BlockError::Wait(source),
        WaitError::Abandoned(()) => BlockError::Aborted,
    })
}

/// Handles a block's messages. Holds their words, looked up once.
pub(super) struct MessageHandler<'m, C> {
    pub(super) memory: &'m SharedRegion,
    pub(super) layout: Layout,
    epoch: u64,
    pub(super) block: BlockParams,
    message: &'m AtomicU64,
    pub(super) payload: [&'m AtomicU64; PAYLOAD_WORDS],
    ack: &'m AtomicU64,
    stamp: &'m AtomicU64,
    pub(super) records: StampTable<'m>,
    /// The private copy of a frame.
    pub(super) frame: &'m mut [u8],
    pub(super) policy: C,
}

impl<'m, C: FaultPolicy> MessageHandler<'m, C> {
    pub(super) fn new(
        memory: &'m SharedRegion,
        layout: Layout,
        epoch: u64,
        block: BlockParams,
        frame: &'m mut [u8],
        policy: C,
    ) -> Result<Self, BlockError> {
        let message = memory.word(HOST_MESSAGE)?;
        let mut payload = [message; PAYLOAD_WORDS];
        for (i, word) in payload.iter_mut().enumerate() {
            *word = memory.word(HOST_PAYLOAD + 8 * i)?;
        }
        let records = StampTable::new(memory)?;
        let (ack, stamp) = (memory.word(GUEST_ACK)?, memory.word(GUEST_STAMP)?);
        Ok(Self { memory, layout, epoch, block, message, payload, ack, stamp, records, frame, policy })
    }

    /// Waits for each message and handles it, until the block's last one or END. Not inlined, to keep the loop within
    /// one page of code: QEMU's translator (TCG) chains jumps within a page only, and looks up every jump that leaves
    /// it.
    #[inline(never)]
    pub(super) fn serve<W: Waiter>(
        mut self,
        waiter: &mut W,
        idle: &impl Fn() -> ControlFlow<()>,
        mut handle: impl FnMut(&mut Self, u64, &mut W) -> Result<(), BlockError>,
    ) -> Result<Handled, BlockError> {
        let (first, operations) = (self.block.first_seq, self.block.operations);
        for seq in first..first + operations {
            let (sent, end) = (SeqState::pack(seq, SENT), SeqState::pack(seq, END));
            let message = self.message;
            // SYNC POINT: pairs with the host's release of the message word; the payload is visible.
            let look = || Some(message.load(Ordering::Acquire)).filter(|word| *word == sent || *word == end);
            if wait(waiter, look, idle)? == end {
                return Ok(Handled { operations: seq - first, last_seen: seq - 1, mismatches: 0 });
            }
            self.policy.stall(seq - first);
            handle(&mut self, seq, waiter)?;
        }
        Ok(Handled { operations, last_seen: first + operations - 1, mismatches: 0 })
    }

    #[inline]
    pub(super) fn write_ack(&self, seq: u64, state: u8) {
        // SYNC POINT: pairs with the host's acquire of the acknowledgement.
        self.ack.store(SeqState::pack(seq, state), Ordering::Release);
    }

    /// Takes the guest's stamp of a clock handshake, between the host's two stamps.
    pub(super) fn handshake(&self, seq: u64) {
        self.stamp.store(self.policy.clock(self.epoch), Ordering::Relaxed);
        self.write_ack(seq, PROCESSED);
    }

    /// Both phases follow immediately after each other, so one doorbell announces both. A guest that polls stamps only after
    /// its acknowledgement: under emulation the stamps before it cost a sixth of a round trip.
    #[inline]
    pub(super) fn message(
        &self,
        seq: u64,
        waiter: &mut impl Waiter,
        notifier: &mut impl Notifier,
    ) -> Result<(), BlockError> {
        let detected = if self.block.stamped { tsc_now() } else { 0 };
        let irq_entry = waiter.irq_entry_tsc().unwrap_or(0);
        self.write_ack(seq, RECEIVED);
        let received = if self.block.stamped { tsc_now() } else { 0 };
        let sum = self.payload.iter().fold(0, |sum, word| sum ^ word.load(Ordering::Relaxed));
        self.acknowledge_early(seq);
        // Arm before the acknowledgement, which lets the host send the next message.
        waiter.arm_early();
        let state = if sum == seq { PROCESSED } else { NackReason::Payload as u8 };
        let before = if self.block.stamped { self.policy.stamp() } else { 0 };
        self.write_ack(seq, state);
        let acked = if self.block.stamped { before } else { self.policy.stamp() };
        notifier.notify().map_err(BlockError::Wait)?;
        self.records.publish(&GuestStamps { seq, irq_entry, detected, received, acked, ..GuestStamps::default() });
        Ok(())
    }

    /// Fault `EarlyAck`: acknowledges the next message before it was sent.
    #[inline]
    fn acknowledge_early(&self, seq: u64) {
        if self.policy.fires_at(Fault::EarlyAck, seq - self.block.first_seq) {
            self.write_ack(seq + 1, PROCESSED);
            // Long enough for the host to notice.
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
}
