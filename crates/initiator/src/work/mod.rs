//! What a block's operations are, workload by workload, over whichever ways to wait and to ring.

use std::cell::Cell;

use bench_model::raw::CorruptAnswer;
use bench_model::{Block, Fault, Workload};
use doorbell::wait::{Notifier, Waiter};

use super::BenchError;
use super::cost::Meter;
use super::frames::Camera;
use super::link::Link;
use super::operations::{Exchange, Sample};

mod frame;
mod messages;
mod pace;
mod traffic;

pub(super) use messages::pingpong;

/// What a block's operations need beside their exchange.
pub(super) struct Stage<'s> {
    pub(super) block: &'s Block,
    pub(super) first_seq: u64,
    pub(super) link: &'s Link<'s>,
    pub(super) meter: &'s mut Meter,
    pub(super) camera: &'s mut Camera,
    pub(super) fault: &'s Cell<Option<Fault>>,
    pub(super) ticks_per_ns: f64,
    pub(super) seed: u64,
    /// Takes the operations as they end, the one that fails included.
    pub(super) samples: &'s mut Vec<Sample>,
}

/// What a block brought beside its samples.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) corrupt: Option<CorruptAnswer>,
    pub(super) traffic: Option<Sent>,
    /// Messages that were due and not sent when the block's time was up.
    pub(super) unsent: u64,
    /// Ticks for which a host that sleeps spun before messages, within what was measured.
    pub(super) pacing_ticks: u64,
}

/// What the host sent without waiting for each answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sent {
    pub(super) messages: u64,
    pub(super) last_seq: u64,
    pub(super) span_ticks: u64,
    pub(super) full: u64,
}

impl Stage<'_> {
    /// Runs the block's operations.
    pub(super) fn play<W: Waiter, N: Notifier>(
        &mut self,
        exchange: &mut Exchange<'_, '_, '_, W, N>,
    ) -> Result<Outcome, BenchError> {
        match self.block.workload {
            Workload::Frame => self.frames(exchange),
            Workload::Storm => self.storm(exchange),
            Workload::Stream => self.stream(exchange),
            Workload::Idle => self.idle(exchange),
            Workload::Pingpong | Workload::Paced | Workload::Openloop | Workload::Contention => self.messages(exchange),
        }
    }

    /// Nanoseconds in ticks.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a block fits 64 bits of ticks")]
    fn ticks(&self, ns: f64) -> u64 {
        (ns * self.ticks_per_ns) as u64
    }

    /// How long the block may last, in ticks; the end of time where it has no limit.
    fn limit(&self) -> u64 {
        self.block.limit_ms.map_or(u64::MAX / 2, |ms| self.ticks(ms as f64 * 1e6))
    }
}
