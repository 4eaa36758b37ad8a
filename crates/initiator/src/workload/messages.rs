//! 64-byte messages: closed loops, back to back or paced, and an open loop at a given rate.

use bench_protocol::memory_map::PAYLOAD_WORDS;
use doorbell::notify::Notifier;
use doorbell::tsc::tsc_now;
use doorbell::wait::Waiter;
use nix::sys::prctl;

use super::pacing::{BackToBack, FixedGap, OpenLoopSchedule, Pacer, TscSleeper};
use crate::BenchError;
use crate::block::BlockContext;
use crate::block_result::BlockOutcome;
use crate::round_trip::{Channel, Sample};

/// Thread names during and outside the measurement, for tracing tools.
const MEASURING: &std::ffi::CStr = c"measuring";
const NOT_MEASURING: &std::ffi::CStr = c"host-peer";

impl BlockContext<'_, '_> {
    pub(super) fn messages<W: Waiter, N: Notifier>(
        &mut self,
        channel: &mut Channel<'_, '_, '_, W, N>,
    ) -> Result<BlockOutcome, BenchError> {
        let conditions = self.block.conditions;
        let sleeper = TscSleeper { sleeps: self.block.host_wait.blocks(), ticks_per_ns: self.runner.ticks_per_ns() };
        let seed = self.runner.seed ^ u64::from(self.block.index) << 32;
        match (conditions.arrivals.zip(conditions.rate_per_s), conditions.gap_ns) {
            (Some((arrivals, rate)), _) => {
                // The warm-up is not part of the schedule.
                self.loop_over(channel, 0..self.block.warmup, &mut BackToBack)?;
                let mut schedule = OpenLoopSchedule::new(sleeper, arrivals, rate, seed);
                self.loop_over(channel, self.block.warmup..self.total(), &mut schedule)
            }
            (None, Some(gap)) => {
                let ticks = self.ticks(gap as f64);
                self.loop_over(channel, 0..self.total(), &mut FixedGap { sleeper, ticks })
            }
            (None, None) => self.loop_over(channel, 0..self.total(), &mut BackToBack),
        }
    }

    fn total(&self) -> u64 {
        self.block.warmup + self.block.count
    }

    /// Sends the messages at these positions of the block. The measurement starts after the warm-up.
    fn loop_over<W: Waiter, N: Notifier>(
        &mut self,
        channel: &mut Channel<'_, '_, '_, W, N>,
        positions: std::ops::Range<u64>,
        pacer: &mut impl Pacer,
    ) -> Result<BlockOutcome, BenchError> {
        let (first_measured, last) = (self.block.warmup, self.total());
        let mut pacing_ticks = 0;
        let mut end = u64::MAX;
        for position in positions {
            if position == first_measured {
                self.runner.meter.start();
                end = tsc_now() + self.limit();
                // The name is only a label: errors are ignored.
                let _ = prctl::set_name(MEASURING);
            }
            let mut sample = Sample { seq: self.first_seq + position, ..Sample::default() };
            let spun = pacer.wait(&mut sample);
            if position >= first_measured {
                pacing_ticks += spun;
            }
            let done = pingpong(channel, &mut sample);
            self.samples.push(sample);
            done?;
            if sample.ended > end && position + 1 < last {
                self.finish_measuring();
                channel.end(self.first_seq + position + 1)?;
                let unsent = pacer.count_due(sample.ended, last - position - 1);
                return Ok(BlockOutcome { unsent, pacing_ticks, ..BlockOutcome::default() });
            }
        }
        if !self.samples.is_empty() && self.samples.len() as u64 == last {
            self.finish_measuring();
        }
        Ok(BlockOutcome { pacing_ticks, ..BlockOutcome::default() })
    }

    fn finish_measuring(&mut self) {
        let _ = prctl::set_name(NOT_MEASURING);
        self.runner.meter.stop();
    }

    /// Waits idle in the block's wait mode, and ends with one message to the guest.
    pub(super) fn idle<W: Waiter, N: Notifier>(
        &mut self,
        channel: &mut Channel<'_, '_, '_, W, N>,
    ) -> Result<BlockOutcome, BenchError> {
        self.runner.meter.start();
        let until = tsc_now() + self.limit();
        channel.await_ack(until, self.first_seq, |_| false)?;
        self.runner.meter.stop();
        pingpong(channel, &mut Sample { seq: self.first_seq, ..Sample::default() })?;
        Ok(BlockOutcome::default())
    }
}

/// Sends a message of one cache line: the message word and seven words whose XOR is the sequence number.
#[inline]
pub(crate) fn pingpong<W: Waiter, N: Notifier>(
    channel: &mut Channel<'_, '_, '_, W, N>,
    sample: &mut Sample,
) -> Result<(), BenchError> {
    let seq = sample.seq;
    let mut words = [0; PAYLOAD_WORDS];
    for (word, i) in words[1..].iter_mut().zip(1_u64..) {
        *word = seq.wrapping_mul(i);
    }
    words[0] = words[1..].iter().fold(seq, |sum, word| sum ^ word);
    channel.words.write_payload(words);
    channel.round_trip(sample)
}
