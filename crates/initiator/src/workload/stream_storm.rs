//! Messages without waiting for each acknowledgement: doorbell storms, and streams through a ring of slots.

use std::cell::Cell;

use bench_protocol::ack::{Ack, SeqState};
use bench_protocol::stream::{SlotRing, stamp_ends};
use doorbell::notify::Notifier;
use doorbell::region::RegionError;
use doorbell::tsc::tsc_now;
use doorbell::wait::Waiter;

use crate::BenchError;
use crate::block::BlockContext;
use crate::block_result::{BlockOutcome, StreamTotals};
use crate::error::system;
use crate::round_trip::{Channel, RINGING, Sample};

impl BlockContext<'_, '_> {
    /// Sends a doorbell per message, at the block's rate or as fast as possible. Waits only for the last
    /// acknowledgement.
    pub(super) fn storm<W: Waiter, N: Notifier>(
        &mut self,
        channel: &mut Channel<'_, '_, '_, W, N>,
    ) -> Result<BlockOutcome, BenchError> {
        let (words, ticks_per_s) = (self.runner.words, 1e9 * self.runner.ticks_per_ns());
        let interval = self.block.conditions.rate_per_s.map_or(0.0, |rate| ticks_per_s / rate.max(1) as f64);
        let last_seq = self.first_seq + self.block.count - 1;
        self.runner.meter.start();
        let start = tsc_now();
        let until_due = |position: u64| {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a time of this run")]
            let due = start + (interval * position as f64) as u64;
            while tsc_now() < due {
                std::hint::spin_loop();
            }
        };
        for position in 0..self.block.count - 1 {
            until_due(position);
            words.publish(self.first_seq + position);
            channel.notifier.notify().map_err(system(RINGING))?;
        }
        until_due(self.block.count - 1);
        let mut sample = Sample { seq: last_seq, ..Sample::default() };
        let done = channel.round_trip(&mut sample);
        self.runner.meter.stop();
        self.samples.push(sample);
        done?;
        // The last message is paced too: the span then has one interval per earlier ring.
        let span_ticks = sample.published - start;
        let sent = StreamTotals { messages: self.block.count, last_seq, span_ticks, full: 0 };
        Ok(BlockOutcome { traffic: Some(sent), ..BlockOutcome::default() })
    }

    /// Fills the ring until the time limit and waits until it is empty.
    pub(super) fn stream<W: Waiter, N: Notifier>(
        &mut self,
        channel: &mut Channel<'_, '_, '_, W, N>,
    ) -> Result<BlockOutcome, BenchError> {
        let (words, memory, first) = (self.runner.words, self.runner.words.memory, self.first_seq);
        let slots = u64::from(self.block.conditions.slots.unwrap_or(1));
        let out_of_bounds = || RegionError::OutOfBounds {
            offset: bench_protocol::memory_map::SLOTS,
            len: usize::try_from(slots.saturating_mul(self.block.size_bytes)).unwrap_or(usize::MAX),
            region: memory.len(),
        };
        let ring = SlotRing::new(memory.len(), slots, self.block.size_bytes).ok_or_else(out_of_bounds)?;
        let mut message = self.runner.frames.next_frame(ring.bytes).bytes.clone();
        // `taken`: the first slot that may still be in use.
        let (mut seq, mut taken, mut full) = (first, first, 0);
        self.runner.meter.start();
        let start = tsc_now();
        let end = start + self.limit();
        loop {
            if seq - taken == slots {
                let timeout_ticks = tsc_now() + channel.deadline.ticks;
                let room = CountedCheck::new(|word: SeqState| word.seq >= taken && word.seq < seq);
                let found = channel.await_ack(timeout_ticks, seq, |word| room.check(word))?;
                let Some(word) = found else { return Err(channel.timeout(seq)) };
                full += u64::from(room.had_to_wait());
                taken = word.seq + 1;
                if taken > first && tsc_now() > end {
                    break;
                }
            }
            stamp_ends(&mut message, seq);
            memory.copy_in(ring.slot(seq), &message)?;
            words.publish(seq);
            channel.notifier.notify().map_err(system(RINGING))?;
            seq += 1;
        }
        let last_seq = seq - 1;
        let timeout_ticks = tsc_now() + channel.deadline.ticks;
        let last = channel.await_ack(timeout_ticks, last_seq, |word| word.seq == last_seq)?;
        let span_ticks = tsc_now() - start;
        self.runner.meter.stop();
        let Some(word) = last else { return Err(channel.timeout(last_seq)) };
        if !matches!(Ack::from_state(word.state), Ack::Processed | Ack::Refused(_)) {
            channel.stale += 1;
        }
        channel.end(seq)?;
        let sent = StreamTotals { messages: seq - first, last_seq, span_ticks, full };
        Ok(BlockOutcome { traffic: Some(sent), ..BlockOutcome::default() })
    }
}

/// Counts the checks of a condition: if the first succeeds, the sender did not wait.
struct CountedCheck<F> {
    found: F,
    count: Cell<u64>,
}

impl<F: Fn(SeqState) -> bool> CountedCheck<F> {
    fn new(found: F) -> Self {
        Self { found, count: Cell::new(0) }
    }

    fn check(&self, word: SeqState) -> bool {
        self.count.set(self.count.get() + 1);
        (self.found)(word)
    }

    fn had_to_wait(&self) -> bool {
        self.count.get() > 1
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::time::Duration;

    use doorbell::wait::Poll;

    use super::*;

    /// Waits for a slot that becomes free at check number `free_from`.
    fn waited(free_from: u64) -> bool {
        let emptied = Cell::new(0);
        let room = CountedCheck::new(|word: SeqState| word.seq >= free_from);
        let look = || {
            emptied.set(emptied.get() + 1);
            Some(SeqState { seq: emptied.get(), state: 0 }).filter(|word| room.check(*word))
        };
        let idle = || {
            std::thread::sleep(Duration::from_micros(1));
            Ok::<_, Infallible>(())
        };
        Poll.wait(look, idle).unwrap();
        room.had_to_wait()
    }

    #[test]
    fn free_slot_is_not_waited_for() {
        assert!(!waited(1));
        assert!(waited(2) && waited(40_000));
    }
}
