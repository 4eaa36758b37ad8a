//! Combines the counters of both sides into the raw result of a block.

use std::time::Duration;

use bench_model::raw::{ClockFit, CorruptAnswer, Counters, CpuTime, RawBlock, Traffic};
use bench_model::{Block, Exchange};
use bench_protocol::ack::Ack;
use bench_protocol::counters::GuestCounters;
use doorbell::wait::WaitCounts;

use super::round_trip::Sample;

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

/// The host's counters and totals of a block.
pub(super) struct ExchangeResult {
    pub(super) counts: WaitCounts,
    pub(super) rings: u64,
    pub(super) stale: u64,
    pub(super) cpu: CpuTime,
    pub(super) wall: Duration,
    pub(super) outcome: BlockOutcome,
}

impl ExchangeResult {
    /// The raw result, with the counters of the guest.
    pub(super) fn into_raw_block(
        self,
        block: &Block,
        samples: &[Sample],
        guest: &GuestCounters,
        clock: ClockFit,
        tsc_hz: f64,
    ) -> RawBlock {
        let verified = samples.iter().filter(|s| s.answer == Some(Ack::Processed)).count() as u64;
        let traffic = self.outcome.traffic.as_ref().map(|sent| Traffic {
            seen: guest.operations,
            last_seen: guest.last_seen == sent.last_seq,
            sent: sent.messages,
            span_ns: in_ns(sent.span_ticks, tsc_hz),
            full: sent.full,
        });
        let sent = traffic.as_ref().map(|traffic| traffic.sent);
        let bytes_verified = match block.workload.exchange() {
            Exchange::Frames => verified * block.size_bytes,
            // Only the first and last words of a stream's messages are checked.
            Exchange::Messages | Exchange::Storm | Exchange::Stream | Exchange::Idle => 0,
        };
        RawBlock {
            block: block.clone(),
            wall_ns: u64::try_from(self.wall.as_nanos()).unwrap_or(u64::MAX),
            operations: sent.unwrap_or(samples.len() as u64),
            counters: self.counters(guest),
            cpu: self.cpu.without_pacing(in_ns(self.outcome.pacing_ticks, tsc_hz)),
            clock,
            corrupt_answer: self.outcome.corrupt,
            bytes_verified,
            traffic,
            unsent: self.outcome.unsent,
            // Set by the caller.
            placement: None,
            suspended_ns: 0,
        }
    }

    fn counters(&self, guest: &GuestCounters) -> Counters {
        Counters {
            rings: self.rings,
            guest_cpu_ns: guest.cpu_ns,
            interrupts: guest.interrupts,
            uio_events: guest.events,
            guest_waits: guest.waits,
            guest_found_armed: guest.found_after_arm,
            guest_found_spinning: guest.found_while_spinning,
            guest_deadline_wakeups: guest.wait_timeouts,
            guest_rings: guest.rings,
            host_events: self.counts.events,
            host_waits: self.counts.waits,
            host_found_armed: self.counts.found_after_arm,
            host_found_spinning: self.counts.found_while_spinning,
            host_deadline_wakeups: self.counts.wait_timeouts,
            stale_acks: self.stale,
            guest_lost_wakeups: guest.lost_wakeups,
            host_lost_wakeups: self.counts.lost_wakeups,
            guest_yields: guest.voluntary_switches,
            mismatches: guest.mismatches,
        }
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a block fits 64 bits of nanoseconds")]
fn in_ns(ticks: u64, tsc_hz: f64) -> u64 {
    (ticks as f64 * 1e9 / tsc_hz) as u64
}
