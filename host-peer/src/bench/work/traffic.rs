//! Messages that do not wait for each answer: storms of doorbells, and streams through a ring of slots.

use proto::ack::{Ack, Tagged};
use proto::clock::ticks;
use proto::region::RegionError;
use proto::stream::{Ring, seal};
use proto::wait::{Notifier, Waiter};

use super::{Outcome, Sent, Stage};
use crate::bench::BenchError;
use crate::bench::operations::{Exchange, Sample};

impl Stage<'_> {
    /// A doorbell per message, at the block's rate or as fast as they can be rung. Only the last one's answer is waited for.
    pub(super) fn storm<W: Waiter, N: Notifier>(
        &mut self,
        exchange: &mut Exchange<'_, '_, '_, W, N>,
    ) -> Result<Outcome, BenchError> {
        let interval =
            self.block.conditions.rate_per_s.map_or(0.0, |rate| 1e9 * self.ticks_per_ns / rate.max(1) as f64);
        let last_seq = self.first_seq + self.block.count - 1;
        self.meter.start();
        let start = ticks();
        let until_due = |position: u64| {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a time of this run")]
            let due = start + (interval * position as f64) as u64;
            while ticks() < due {
                std::hint::spin_loop();
            }
        };
        for position in 0..self.block.count - 1 {
            until_due(position);
            self.link.publish(self.first_seq + position);
            exchange.notifier.notify().map_err(ringing)?;
        }
        until_due(self.block.count - 1);
        let mut sample = Sample { seq: last_seq, ..Sample::default() };
        let done = exchange.round_trip(&mut sample);
        self.meter.stop();
        self.samples.push(sample);
        done?;
        // The last one is paced as all others are, so that as many intervals lie in the span as there are rings before it.
        let span_ticks = sample.published - start;
        let sent = Sent { messages: self.block.count, last_seq, span_ticks, full: 0 };
        Ok(Outcome { traffic: Some(sent), ..Outcome::default() })
    }

    /// Fills the ring for as long as the block says, and waits until it has been emptied.
    pub(super) fn stream<W: Waiter, N: Notifier>(
        &mut self,
        exchange: &mut Exchange<'_, '_, '_, W, N>,
    ) -> Result<Outcome, BenchError> {
        let (memory, first) = (self.link.memory, self.first_seq);
        let slots = u64::from(self.block.conditions.slots.unwrap_or(1));
        let nowhere = || RegionError::OutOfBounds {
            offset: proto::layout::SLOTS,
            len: usize::try_from(slots.saturating_mul(self.block.size_bytes)).unwrap_or(usize::MAX),
            region: memory.len(),
        };
        let ring = Ring::new(memory.len(), slots, self.block.size_bytes).ok_or_else(nowhere)?;
        let mut message = self.camera.shoot(ring.bytes()).bytes.clone();
        // The first slot that is not known to be empty.
        let (mut seq, mut taken, mut full) = (first, first, 0);
        self.meter.start();
        let start = ticks();
        let end = start + self.limit();
        loop {
            if seq - taken == slots {
                full += 1;
                let patience = ticks() + exchange.patience();
                let room = |word: Tagged| word.seq >= taken && word.seq < seq;
                let Some(word) = exchange.await_ack(patience, seq, room)? else { return Err(exchange.timeout(seq)) };
                taken = word.seq + 1;
                if taken > first && ticks() > end {
                    break;
                }
            }
            seal(&mut message, seq);
            memory.copy_in(ring.slot(seq), &message)?;
            self.link.publish(seq);
            exchange.notifier.notify().map_err(ringing)?;
            seq += 1;
        }
        let last_seq = seq - 1;
        let patience = ticks() + exchange.patience();
        let last = exchange.await_ack(patience, last_seq, |word| word.seq == last_seq)?;
        let span_ticks = ticks() - start;
        self.meter.stop();
        let Some(word) = last else { return Err(exchange.timeout(last_seq)) };
        if !matches!(Ack::of(word.state), Ack::Processed | Ack::Refused(_)) {
            exchange.stale += 1;
        }
        exchange.end(seq)?;
        let sent = Sent { messages: seq - first, last_seq, span_ticks, full };
        Ok(Outcome { traffic: Some(sent), ..Outcome::default() })
    }
}

fn ringing(source: std::io::Error) -> BenchError {
    BenchError::System { what: "ringing the guest", source }
}
