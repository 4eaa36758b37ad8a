//! Runs the operations of a block, by workload.

use bench_model::Exchange;
use doorbell::notify::Notifier;
use doorbell::wait::Waiter;

use super::BenchError;
use super::block::BlockContext;
use super::block_result::BlockOutcome;
use super::round_trip::Channel;

mod frame;
pub(super) mod frame_gen;
mod messages;
mod pacing;
mod stream_storm;

pub(super) use messages::pingpong;

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
