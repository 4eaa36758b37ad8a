//! Short messages and clock handshakes, in every wait mode.

use std::sync::atomic::Ordering;
use std::thread::sleep;
use std::time::Duration;

use bench_protocol::ack::{Ack, NackReason};
use bench_protocol::control::{BlockKind, BlockParams, WaitMode};
use bench_protocol::counters::GuestCounters;
use bench_protocol::memory_map::GUEST_STAMP;
use doorbell::tsc::tsc_now;

use crate::host::TestHost;

const MESSAGES: u64 = 20;

/// Runs a block of valid messages, with a pause before each.
fn run(host: &mut TestHost, params: &BlockParams, pause: Duration) -> GuestCounters {
    host.begin(params);
    for seq in params.first_seq..params.first_seq + params.operations {
        sleep(pause);
        assert_eq!(host.pingpong(seq), Ack::Processed);
    }
    let counters = host.end();
    assert_eq!(counters.operations, params.operations);
    assert_eq!(counters.last_seen, params.first_seq + params.operations - 1);
    assert_eq!(counters.lost_wakeups, 0);
    counters
}

#[test]
fn polling_guest_acks_every_message_without_doorbells() {
    let mut host = TestHost::start();
    let params = host.params(BlockKind::Messages, MESSAGES);
    let counters = run(&mut host, &params, Duration::ZERO);
    assert_eq!((counters.waits, counters.rings, host.rings), (0, 0, 0));
    assert!(counters.cpu_ns > 0);
    assert!(!host.take_ring());
    host.finish().unwrap();
}

#[test]
fn blocking_guest_takes_one_event_per_doorbell() {
    let mut host = TestHost::start();
    let params = BlockParams { guest_wait: WaitMode::Irq, ..host.params(BlockKind::Messages, MESSAGES) };
    let counters = run(&mut host, &params, Duration::from_millis(1));
    assert!(host.rings > 0);
    assert_eq!(counters.events, Some(host.rings));
    assert!(counters.waits > 0);
    let last = host.stamps(params.first_seq + MESSAGES - 1);
    assert!(last.irq_entry > 0 && last.irq_entry <= last.detected, "{last:?}");
    host.finish().unwrap();
}

#[test]
fn hybrid_guest_blocks_only_after_its_spin_time() {
    let mut host = TestHost::start();
    let hybrid = |host: &mut TestHost, spin_ticks| BlockParams {
        guest_wait: WaitMode::Hybrid,
        spin_ticks,
        ..host.params(BlockKind::Messages, MESSAGES)
    };
    let params = hybrid(&mut host, u64::MAX);
    let counters = run(&mut host, &params, Duration::from_millis(1));
    assert_eq!((counters.found_while_spinning, counters.waits, host.rings), (MESSAGES, 0, 0));
    let params = hybrid(&mut host, 1);
    let counters = run(&mut host, &params, Duration::from_millis(1));
    assert!(counters.waits > 0 && host.rings > 0, "{counters:?}");
    assert_eq!(counters.events, Some(host.rings));
    host.finish().unwrap();
}

#[test]
fn guest_rings_armed_host_once_per_message() {
    let mut host = TestHost::start();
    let params = BlockParams { host_wait: WaitMode::Irq, ..host.params(BlockKind::Messages, MESSAGES) };
    host.begin(&params);
    for seq in params.first_seq..params.first_seq + MESSAGES {
        let armed = seq % 2 == 0;
        if armed {
            host.arm();
        }
        assert_eq!(host.pingpong(seq), Ack::Processed);
        host.await_stamps(seq);
        assert_eq!(host.take_ring(), armed, "message {seq}");
    }
    assert_eq!(host.end().rings, MESSAGES / 2);
    host.finish().unwrap();
}

#[test]
fn guest_rings_for_every_message_if_commanded() {
    let mut host = TestHost::start();
    let params =
        BlockParams { host_wait: WaitMode::Irq, always_ring: true, ..host.params(BlockKind::Messages, MESSAGES) };
    let counters = run(&mut host, &params, Duration::ZERO);
    assert_eq!(counters.rings, MESSAGES);
    assert!(host.take_ring());
    host.finish().unwrap();
}

#[test]
fn wrong_payload_is_refused() {
    let mut host = TestHost::start();
    let params = host.params(BlockKind::Messages, 2);
    host.begin(&params);
    let seq = params.first_seq;
    host.send(seq, &[seq + 1, 0, 0, 0, 0, 0, 0]);
    assert_eq!(host.ack(seq), Ack::Refused(NackReason::Payload));
    assert_eq!(host.pingpong(seq + 1), Ack::Processed);
    host.end();
    host.finish().unwrap();
}

#[test]
fn end_finishes_a_block_early() {
    let mut host = TestHost::start();
    for guest_wait in [WaitMode::Poll, WaitMode::Irq] {
        let params = BlockParams { guest_wait, ..host.params(BlockKind::Messages, MESSAGES) };
        host.begin(&params);
        host.pingpong(params.first_seq);
        host.send_end(params.first_seq + 1);
        let counters = host.end();
        assert_eq!((counters.operations, counters.last_seen), (1, params.first_seq), "{guest_wait:?}");
    }
    host.finish().unwrap();
}

#[test]
fn stamps_are_ordered_within_the_round_trip() {
    let mut host = TestHost::start();
    let params = host.params(BlockKind::Messages, 10);
    host.begin(&params);
    let mut round_trips = Vec::new();
    for seq in params.first_seq..params.first_seq + 10 {
        let sent = tsc_now();
        host.pingpong(seq);
        round_trips.push((seq, sent, tsc_now()));
    }
    host.end();
    for (seq, sent, back) in round_trips {
        let stamps = host.stamps(seq);
        let order = [sent, stamps.detected, stamps.received, stamps.acked, back];
        assert!(order.is_sorted(), "{order:?}");
    }
    host.finish().unwrap();
}

#[test]
fn handshake_stamp_is_between_the_host_stamps() {
    let mut host = TestHost::start();
    let params = host.params(BlockKind::Clock, 10);
    host.begin(&params);
    for seq in params.first_seq..params.first_seq + 10 {
        let sent = tsc_now();
        assert_eq!(host.pingpong(seq), Ack::Processed);
        let back = tsc_now();
        let stamp = host.word(GUEST_STAMP).load(Ordering::Relaxed);
        assert!((sent..=back).contains(&stamp), "{sent} {stamp} {back}");
    }
    host.end();
    host.finish().unwrap();
}
