//! Messages that do not wait for answers: storms, of which only the newest message counts, and streams through a ring of
//! slots, of which every message counts.

use std::ops::ControlFlow;
use std::sync::atomic::Ordering;

use bench_protocol::ack::{END, PROCESSED, Refusal, Tagged};
use bench_protocol::control::{Announcement, Flaw};
use bench_protocol::layout::{GUEST_ACK, HOST_MESSAGE};
use bench_protocol::stream::{Ring, is_whole};
use doorbell::region::SharedRegion;
use doorbell::wait::{Notifier, Waiter};

use super::fault::FaultPolicy;
use super::messages::{BlockError, Handled, wait};

/// Takes a storm: whatever is the newest message when it looks, until the last one.
pub(super) fn storm<W: Waiter, N: Notifier>(
    memory: &SharedRegion,
    block: &Announcement,
    (waiter, notifier): (&mut W, &mut N),
    policy: impl FaultPolicy,
    idle: impl Fn() -> ControlFlow<()>,
) -> Result<Handled, BlockError> {
    let (message, ack) = (memory.word(HOST_MESSAGE)?, memory.word(GUEST_ACK)?);
    let last = block.first_seq + block.operations - 1;
    // The word of an earlier block is no news, and the first of this one is even if it came before this line.
    let mut newest = 0;
    let mut seen = 0;
    loop {
        // SYNC POINT: the host's release of the message word.
        let look = || {
            let word = message.load(Ordering::Acquire);
            (word != newest && Tagged::unpack(word).seq >= block.first_seq).then_some(word)
        };
        newest = wait(waiter, look, &idle)?;
        seen += 1;
        let seq = Tagged::unpack(newest).seq;
        if seq == last {
            // SYNC POINT: pairs with the host's acquire of the acknowledgement.
            ack.store(Tagged::pack(last, PROCESSED), Ordering::Release);
            notifier.notify().map_err(BlockError::Wait)?;
            let last_seen = if policy.is_active(Flaw::BlindStorm) { last - 1 } else { last };
            return Ok(Handled { operations: seen, last_seen, mismatches: 0 });
        }
    }
}

/// Empties the ring until END, which comes behind the last message. Every message is read whole and looked at.
pub(super) fn stream<W: Waiter, N: Notifier>(
    memory: &SharedRegion,
    block: &Announcement,
    (waiter, notifier): (&mut W, &mut N),
    idle: impl Fn() -> ControlFlow<()>,
) -> Result<Handled, BlockError> {
    let (message, ack) = (memory.word(HOST_MESSAGE)?, memory.word(GUEST_ACK)?);
    let ring = Ring::new(memory.len(), block.slots, block.bytes).ok_or(BlockError::InvalidParams)?;
    let mut private = vec![0; ring.bytes()];
    let mut next = block.first_seq;
    let mut mismatches = 0;
    loop {
        // SYNC POINT: the host's release of the message word; every slot up to it is filled.
        let look = || Some(Tagged::unpack(message.load(Ordering::Acquire))).filter(|word| is_news(*word, next));
        let newest = wait(waiter, look, &idle)?;
        let published = if newest.state == END { newest.seq } else { newest.seq + 1 };
        // A host that lies about how far it is would make the guest read what is not there, for ever.
        if published - next > block.slots {
            return Err(BlockError::InvalidParams);
        }
        while next < published {
            memory.copy_out(ring.slot(next), &mut private)?;
            let whole = is_whole(&private, next);
            mismatches += u64::from(!whole);
            let state = if whole { PROCESSED } else { Refusal::Payload as u8 };
            // SYNC POINT: pairs with the host's acquire; the slot is the host's again.
            ack.store(Tagged::pack(next, state), Ordering::Release);
            notifier.notify().map_err(BlockError::Wait)?;
            next += 1;
        }
        if newest.state == END {
            return Ok(Handled { operations: next - block.first_seq, last_seen: next.saturating_sub(1), mismatches });
        }
    }
}

fn is_news(word: Tagged, next: u64) -> bool {
    word.seq >= next && (word.state == END || word.state == bench_protocol::ack::SENT)
}
