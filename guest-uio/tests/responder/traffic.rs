//! Open loops: streams and storms.

use bench_protocol::ack::{Ack, NackReason};
use bench_protocol::control::{BlockKind, BlockParams, WaitMode};
use bench_protocol::stream::{SlotRing, stamp_ends};

use crate::host::TestHost;

const MESSAGES: u64 = 20;
const SLOTS: u64 = 4;
const BYTES: usize = 256;

fn stream(host: &mut TestHost, guest_wait: WaitMode) -> BlockParams {
    BlockParams { guest_wait, slots: SLOTS, bytes: BYTES as u64, ..host.params(BlockKind::Stream, MESSAGES) }
}

/// Writes a message into its slot of the ring; `intact` or with a wrong last word.
fn write_message(host: &TestHost, seq: u64, intact: bool) {
    let mut message = [0; BYTES];
    stamp_ends(&mut message, seq);
    message[BYTES - 1] ^= u8::from(!intact);
    let ring = SlotRing::new(host.memory.len(), SLOTS, BYTES as u64).unwrap();
    host.memory.copy_in(ring.slot(seq), &message).unwrap();
}

#[test]
fn stream_acks_every_message_and_counts_mismatches() {
    let mut host = TestHost::start();
    for guest_wait in [WaitMode::Poll, WaitMode::Irq] {
        let params = stream(&mut host, guest_wait);
        host.begin(&params);
        for i in 0..MESSAGES {
            let (seq, intact) = (params.first_seq + i, i != 7);
            write_message(&host, seq, intact);
            host.send(seq, &[]);
            let expected = if intact { Ack::Processed } else { Ack::Refused(NackReason::Payload) };
            assert_eq!(host.ack(seq), expected, "message {i}");
        }
        host.send_end(params.first_seq + MESSAGES);
        let counters = host.end();
        assert_eq!((counters.operations, counters.mismatches), (MESSAGES, 1), "{guest_wait:?}");
        assert_eq!(counters.last_seen, params.first_seq + MESSAGES - 1);
    }
    host.finish().unwrap();
}

#[test]
fn stream_guest_reads_all_slots_filled_together() {
    let mut host = TestHost::start();
    let params = stream(&mut host, WaitMode::Poll);
    host.begin(&params);
    let last = params.first_seq + SLOTS - 1;
    for seq in params.first_seq..=last {
        write_message(&host, seq, true);
    }
    host.send(last, &[]);
    assert_eq!(host.ack(last), Ack::Processed);
    host.send_end(last + 1);
    let counters = host.end();
    assert_eq!((counters.operations, counters.mismatches), (SLOTS, 0));
    host.finish().unwrap();
}

#[test]
fn stream_beyond_its_slots_fails_the_block() {
    let mut host = TestHost::start();
    let params = stream(&mut host, WaitMode::Poll);
    host.begin(&params);
    host.send(params.first_seq + SLOTS, &[]);
    assert_eq!(host.failure(), "invalid block parameters");
    host.finish().unwrap();
}

#[test]
fn storm_ends_with_its_last_message() {
    let mut host = TestHost::start();
    for guest_wait in [WaitMode::Poll, WaitMode::Irq] {
        let params = BlockParams { guest_wait, ..host.params(BlockKind::Storm, MESSAGES) };
        host.begin(&params);
        let rings_before = host.rings;
        let last = params.first_seq + MESSAGES - 1;
        for seq in params.first_seq..=last {
            host.send(seq, &[]);
            if guest_wait == WaitMode::Irq {
                host.ring();
            }
        }
        assert_eq!(host.ack(last), Ack::Processed);
        let counters = host.end();
        assert_eq!(counters.last_seen, last);
        assert!((1..=MESSAGES).contains(&counters.operations), "{counters:?}");
        if guest_wait == WaitMode::Irq {
            // Fewer if the host is preempted before its last ring.
            let rings = host.rings - rings_before;
            assert!(counters.events.is_some_and(|events| (1..=rings).contains(&events)), "{rings} rings, {counters:?}");
        }
    }
    host.finish().unwrap();
}

#[test]
fn storm_ignores_messages_of_earlier_blocks() {
    let mut host = TestHost::start();
    let params = host.params(BlockKind::Storm, 1);
    host.send(params.first_seq - 1, &[]);
    host.begin(&params);
    host.send(params.first_seq, &[]);
    assert_eq!(host.ack(params.first_seq), Ack::Processed);
    assert_eq!(host.end().operations, 1);
    host.finish().unwrap();
}
