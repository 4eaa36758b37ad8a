//! Open-loop messages. In a storm only the newest message counts; in a stream through a ring of slots every message counts.

use std::ops::ControlFlow;
use std::sync::atomic::Ordering;

use bench_protocol::ack::{END, NackReason, PROCESSED, SeqState};
use bench_protocol::control::{BlockParams, Fault};
use bench_protocol::memory_map::{GUEST_ACK, HOST_MESSAGE};
use bench_protocol::stream::{SlotRing, is_intact};
use doorbell::notify::Notifier;
use doorbell::region::SharedRegion;
use doorbell::wait::Waiter;

use super::fault::FaultPolicy;
use super::messages::{BlockError, Handled, wait};

/// Receives a storm: takes the newest message at each wake-up, until the last one.
pub(super) fn storm<W: Waiter, N: Notifier>(
    memory: &SharedRegion,
    block: &BlockParams,
    (waiter, notifier): (&mut W, &mut N),
    policy: impl FaultPolicy,
    idle: impl Fn() -> ControlFlow<()>,
) -> Result<Handled, BlockError> {
    let (message, ack) = (memory.word(HOST_MESSAGE)?, memory.word(GUEST_ACK)?);
    let last = block.first_seq + block.operations - 1;
    // 0: accept this block's first message even if it was sent before this line. Words of earlier blocks fail the check below.
    let mut newest = 0;
    let mut received = 0;
    loop {
        // SYNC POINT: pairs with the host's release of the message word.
        let look = || {
            let word = message.load(Ordering::Acquire);
            (word != newest && SeqState::unpack(word).seq >= block.first_seq).then_some(word)
        };
        newest = wait(waiter, look, &idle)?;
        received += 1;
        let seq = SeqState::unpack(newest).seq;
        if seq == last {
            // SYNC POINT: pairs with the host's acquire of the acknowledgement.
            ack.store(SeqState::pack(last, PROCESSED), Ordering::Release);
            notifier.notify().map_err(BlockError::Wait)?;
            let last_seen = if policy.is_active(Fault::BlindStorm) { last - 1 } else { last };
            return Ok(Handled { operations: received, last_seen, mismatches: 0 });
        }
    }
}

/// Receives a stream until END, which follows the last message. Reads and verifies every message.
pub(super) fn stream<W: Waiter, N: Notifier>(
    memory: &SharedRegion,
    block: &BlockParams,
    (waiter, notifier): (&mut W, &mut N),
    idle: impl Fn() -> ControlFlow<()>,
) -> Result<Handled, BlockError> {
    let (message, ack) = (memory.word(HOST_MESSAGE)?, memory.word(GUEST_ACK)?);
    let ring = SlotRing::new(memory.len(), block.slots, block.bytes).ok_or(BlockError::InvalidParams)?;
    let mut copy = vec![0; ring.bytes];
    let mut next = block.first_seq;
    let mut mismatches = 0;
    loop {
        // SYNC POINT: pairs with the host's release of the message word; all slots up to it are filled.
        let look = || Some(SeqState::unpack(message.load(Ordering::Acquire))).filter(|word| is_new(*word, next));
        let newest = wait(waiter, look, &idle)?;
        let published = if newest.state == END { newest.seq } else { newest.seq + 1 };
        // Bounds the loop below if the host publishes an invalid sequence number.
        if published - next > block.slots {
            return Err(BlockError::InvalidParams);
        }
        while next < published {
            memory.copy_out(ring.slot(next), &mut copy)?;
            let intact = is_intact(&copy, next);
            mismatches += u64::from(!intact);
            let state = if intact { PROCESSED } else { NackReason::Payload as u8 };
            // SYNC POINT: pairs with the host's acquire; afterwards the host may reuse the slot.
            ack.store(SeqState::pack(next, state), Ordering::Release);
            notifier.notify().map_err(BlockError::Wait)?;
            next += 1;
        }
        if newest.state == END {
            return Ok(Handled { operations: next - block.first_seq, last_seen: next.saturating_sub(1), mismatches });
        }
    }
}

fn is_new(word: SeqState, next: u64) -> bool {
    word.seq >= next && (word.state == END || word.state == bench_protocol::ack::SENT)
}
