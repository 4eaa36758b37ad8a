//! Converts the stamps of an operation to a row of `samples.csv`.

use bench_model::Block;
use bench_model::samples::{Row, Status, mode_name};
use bench_protocol::ack::{Ack, NackReason};
use bench_protocol::clock::ClockOffset;
use bench_protocol::guest_stamps::GuestStamps;

use super::round_trip::Sample;

/// Converts ticks of the host's counter to nanoseconds since the first stamp of the run.
#[derive(Debug, Clone, Copy)]
pub(super) struct TimeBase {
    pub(super) zero: u64,
    pub(super) ns_per_tick: f64,
}

impl TimeBase {
    /// Time of a stamp; `None` if it was not taken.
    fn at(self, ticks: u64) -> Option<u64> {
        (ticks != 0).then(|| self.span(self.zero, ticks)).flatten()
    }

    /// Duration between two stamps of the same clock.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a run's nanoseconds fit 64 bits")]
    fn span(self, from: u64, to: u64) -> Option<u64> {
        (from != 0 && to != 0).then(|| (to.saturating_sub(from) as f64 * self.ns_per_tick).round() as u64)
    }

    /// Duration between stamps of different sides. Can be negative within the uncertainty of the clocks.
    #[expect(clippy::cast_possible_truncation, reason = "a run's nanoseconds fit 64 bits")]
    fn one_way(self, from: u64, to: u64) -> Option<i64> {
        let ticks = to.wrapping_sub(from).cast_signed();
        (from != 0 && to != 0).then(|| (ticks as f64 * self.ns_per_tick).round() as i64)
    }
}

/// The earliest stamp of an operation.
pub(super) fn earliest(sample: &Sample) -> u64 {
    [sample.due, sample.begun, sample.published].into_iter().find(|stamp| *stamp != 0).unwrap_or(0)
}

/// The row of an operation. Without `offset` the values that need the guest's clock are empty.
pub(super) fn row(
    block: &Block,
    sample: &Sample,
    record: &GuestStamps,
    offset: Option<ClockOffset>,
    line: TimeBase,
) -> Row {
    let on_host = |ticks: u64| offset.filter(|_| ticks != 0).map_or(0, |o| o.guest_to_host(ticks));
    let (irq_entry, detected) = (on_host(record.irq_entry), on_host(record.detected));
    let acked = on_host(record.acked);
    let received = on_host(record.received);
    let inject = line.one_way(sample.published, irq_entry);
    let wake = inject.and(line.span(record.irq_entry, record.detected));
    let (read, verified) = (line.span(record.received, record.read), line.span(record.read, record.verified));
    // Without the parts that are separate legs, rounded alike: the legs must sum to the total.
    let in_guest = line.span(record.detected, record.acked);
    let handled = in_guest.map(|ns| ns.saturating_sub(read.unwrap_or(0) + verified.unwrap_or(0)));
    let ended = if sample.answer.is_some() { sample.ended } else { 0 };
    Row {
        block: block.index,
        workload: block.workload,
        mode: mode_name(block.host_wait, block.guest_wait),
        host_wait: block.host_wait,
        guest_wait: block.guest_wait,
        seq: sample.seq,
        size_bytes: block.size_bytes,
        due_ns: line.at(sample.due),
        h0_ns: line.at(sample.begun),
        h1_ns: line.at(sample.written),
        h2_ns: line.at(sample.published),
        h3_ns: line.at(sample.rung),
        g0_ns: line.at(irq_entry),
        g1_ns: line.at(detected),
        g2_ns: line.at(received),
        g3_ns: line.at(on_host(record.read)),
        g4_ns: line.at(on_host(record.verified)),
        g5_ns: line.at(acked),
        h4_ns: line.at(sample.received),
        h5_ns: line.at(ended),
        write_ns: line.span(sample.begun, sample.written),
        ring_ns: line.span(sample.published, sample.rung),
        inject_ns: inject,
        wake_ns: wake,
        // The sum of its parts if both are known, to match them after rounding.
        notify_ns: inject
            .zip(wake)
            .map(|(inject, wake)| inject.saturating_add_unsigned(wake))
            .or(line.one_way(sample.published, detected)),
        ack_ns: line.one_way(received, sample.received),
        read_ns: read,
        verify_ns: verified,
        handle_ns: handled,
        answer_ns: line.one_way(acked, ended),
        rtt_ns: line.span(sample.published, ended),
        end_to_end_ns: line.span(sample.begun, ended),
        corrected_ns: line.span(sample.due, ended),
        status: status(sample.answer),
    }
}

fn status(answer: Option<Ack>) -> Status {
    match answer {
        Some(Ack::Processed) => Status::Ok,
        Some(Ack::Refused(NackReason::Hash)) => Status::HashMismatch,
        Some(Ack::Refused(NackReason::Header)) => Status::BadHeader,
        Some(Ack::Refused(NackReason::Payload) | Ack::Received | Ack::Unknown(_)) => Status::GuestError,
        None => Status::Timeout,
    }
}
