//! What a block's operations are, workload by workload, over whichever ways to wait and to ring.

use bench_model::raw::CorruptAnswer;
use bench_model::{Block, Exchange};
use doorbell::notify::Notifier;
use doorbell::wait::Waiter;

use super::BenchError;
use super::block::BlockRunner;
use super::round_trip::{Channel, Sample};

mod frame;
mod frame_gen;
mod messages;
mod pacing;
mod stream_storm;

pub(super) use frame_gen::FrameGenerator;
pub(super) use messages::pingpong;

/// Context of a block's operations.
pub(super) struct BlockContext<'s, 'r> {
    pub(super) runner: &'s mut BlockRunner<'r>,
    pub(super) block: &'s Block,
    pub(super) first_seq: u64,
    /// Receives every operation, including one that fails.
    pub(super) samples: &'s mut Vec<Sample>,
}

/// Result of a block, without its samples.
#[derive(Debug, Default)]
pub(super) struct BlockOutcome {
    pub(super) corrupt: Option<CorruptAnswer>,
    pub(super) traffic: Option<StreamTotals>,
    /// Messages that were scheduled but not sent before the time limit.
    pub(super) unsent: u64,
    /// Ticks that a blocking host spun before messages, within the measured interval.
    pub(super) pacing_ticks: u64,
}

/// Totals of messages that are not acknowledged one by one.
#[derive(Debug, Clone, Copy)]
pub(super) struct StreamTotals {
    pub(super) messages: u64,
    pub(super) last_seq: u64,
    pub(super) span_ticks: u64,
    pub(super) full: u64,
}

impl BlockContext<'_, '_> {
    /// Runs the block's operations.
    pub(super) fn run<W: Waiter, N: Notifier>(
        &mut self,
        channel: &mut Channel<'_, '_, '_, W, N>,
    ) -> Result<BlockOutcome, BenchError> {
        match self.block.workload.exchange() {
            Exchange::Messages => self.messages(channel),
            Exchange::Frames => self.frames(channel),
            Exchange::Storm => self.storm(channel),
            Exchange::Stream => self.stream(channel),
            Exchange::Idle => self.idle(channel),
        }
    }

    /// Converts nanoseconds to ticks.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a block fits 64 bits of ticks")]
    fn ticks(&self, ns: f64) -> u64 {
        (ns * self.runner.ticks_per_ns()) as u64
    }

    /// Time limit of the block in ticks; effectively infinite without one.
    fn limit(&self) -> u64 {
        self.block.limit_ms.map_or(u64::MAX / 2, |ms| self.ticks(ms as f64 * 1e6))
    }
}
