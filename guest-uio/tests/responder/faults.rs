//! The effect of every guest fault. The other modules test a guest without fault.

use std::sync::atomic::Ordering;
use std::thread::sleep;
use std::time::{Duration, Instant};

use bench_protocol::ack::{Ack, NackReason};
use bench_protocol::control::{BlockKind, BlockParams, Fault, WaitMode};
use bench_protocol::guest_stamps::GuestStamps;
use bench_protocol::memory_map::GUEST_STAMP;
use doorbell::tsc::tsc_now;

use crate::frames::{send_frame, write_frame};
use crate::host::{MAX_FRAME, TestHost, wait_for};

/// The message of a block at which one-shot faults fire.
const FIRES_AT: u64 = 20;

fn params(host: &mut TestHost, kind: BlockKind, operations: u64, fault: Fault) -> BlockParams {
    // A blocking guest leaves the CPU to the host, which is faster on a loaded machine.
    BlockParams { guest_wait: WaitMode::Irq, fault: Some(fault), ..host.params(kind, operations) }
}

/// Stamps of a block of the largest valid frames.
fn frame_stamps(host: &mut TestHost, fault: Option<Fault>) -> Vec<GuestStamps> {
    let params = BlockParams { guest_wait: WaitMode::Irq, fault, ..host.params(BlockKind::Frame, 6) };
    host.begin(&params);
    let messages = params.first_seq..params.first_seq + 6;
    for seq in messages.clone() {
        let header = write_frame(host, 0, seq, MAX_FRAME);
        assert_eq!(send_frame(host, 0, seq, &header), Ack::Processed);
    }
    host.end();
    messages.map(|seq| host.stamps(seq)).collect()
}

/// The shortest duration of a step in ticks, without and with the fault. Preemption only makes a step slower, so on a busy
/// machine the minima need several pairs of blocks; these are measured until `is_shown`, at most `PAIRS`.
fn shortest_without_and_with(
    fault: Fault,
    step: impl Fn(&GuestStamps) -> u64,
    is_shown: impl Fn(u64, u64) -> bool,
) -> (u64, u64) {
    const PAIRS: usize = 50;
    let mut host = TestHost::start();
    let (mut without, mut with) = (u64::MAX, u64::MAX);
    for _ in 0..PAIRS {
        without = frame_stamps(&mut host, None).iter().map(&step).fold(without, u64::min);
        with = frame_stamps(&mut host, Some(fault)).iter().map(&step).fold(with, u64::min);
        if is_shown(without, with) {
            break;
        }
    }
    host.finish().unwrap();
    (without, with)
}

#[test]
fn short_read_stamps_after_a_part_of_the_frame() {
    let is_short = |whole, part| part * 2 < whole;
    let read = |stamps: &GuestStamps| stamps.read - stamps.received;
    let (whole, part) = shortest_without_and_with(Fault::ShortRead, read, is_short);
    assert!(is_short(whole, part), "{part} of {whole} ticks");
}

#[test]
fn short_verify_stamps_the_read_after_the_hash() {
    let is_short = |whole, short| short * 10 < whole;
    let hash = |stamps: &GuestStamps| stamps.verified - stamps.read;
    let (whole, short) = shortest_without_and_with(Fault::ShortVerify, hash, is_short);
    assert!(is_short(whole, short), "{short} of {whole} ticks");
}

#[test]
fn corrupt_frame_refuses_one_valid_frame() {
    let mut host = TestHost::start();
    let params = params(&mut host, BlockKind::Frame, 6, Fault::CorruptFrame);
    host.begin(&params);
    let acks = (params.first_seq..params.first_seq + 6).map(|seq| {
        let header = write_frame(&host, 0, seq, 5000);
        send_frame(&mut host, 0, seq, &header)
    });
    let acks: Vec<Ack> = acks.collect();
    let mut expected = vec![Ack::Processed; 6];
    expected[3] = Ack::Refused(NackReason::Hash);
    assert_eq!(acks, expected);
    host.end();
    host.finish().unwrap();
}

#[test]
fn skip_verify_accepts_a_wrong_hash() {
    let mut host = TestHost::start();
    let params = params(&mut host, BlockKind::Frame, 1, Fault::SkipVerify);
    host.begin(&params);
    let mut header = write_frame(&host, 0, params.first_seq, 5000);
    header.sha256[0] ^= 1;
    assert_eq!(send_frame(&mut host, 0, params.first_seq, &header), Ack::Processed);
    host.end();
    host.finish().unwrap();
}

#[test]
fn early_ack_precedes_its_message() {
    let mut host = TestHost::start();
    // The acknowledgement is visible for 20 ms, which a preempted host may miss.
    let seen = (0..20).any(|_| {
        let params = params(&mut host, BlockKind::Messages, FIRES_AT + 1, Fault::EarlyAck);
        host.begin(&params);
        let last = params.first_seq + FIRES_AT;
        for seq in params.first_seq..last {
            assert_eq!(host.pingpong(seq), Ack::Processed);
        }
        host.send(last, &[last, 0, 0, 0, 0, 0, 0]);
        let early = wait_for("acknowledgement", || {
            let word = host.ack_word();
            let processed = word.seq == last && Ack::from_state(word.state) == Ack::Processed;
            (word.seq == last + 1 || processed).then_some(word.seq == last + 1)
        });
        host.end();
        early
    });
    assert!(seen);
    host.finish().unwrap();
}

#[test]
fn blind_storm_does_not_report_the_last_message() {
    let mut host = TestHost::start();
    let params = params(&mut host, BlockKind::Storm, 5, Fault::BlindStorm);
    host.begin(&params);
    let last = params.first_seq + 4;
    host.send(last, &[]);
    host.ack(last);
    assert_eq!(host.end().last_seen, last - 1);
    host.finish().unwrap();
}

#[test]
fn drop_answer_counts_a_doorbell_that_it_does_not_ring() {
    let mut host = TestHost::start();
    let params = params(&mut host, BlockKind::Messages, FIRES_AT + 2, Fault::DropAnswer);
    let params = BlockParams { host_wait: WaitMode::Irq, ..params };
    host.begin(&params);
    let rung = (params.first_seq..params.first_seq + params.operations).filter(|seq| {
        host.arm();
        host.pingpong(*seq);
        host.await_stamps(*seq);
        host.take_ring()
    });
    assert_eq!(rung.count() as u64, params.operations - 1);
    assert_eq!(host.end().rings, params.operations);
    host.finish().unwrap();
}

#[test]
fn sleepy_guest_sleeps_instead_of_polling() {
    let mut host = TestHost::start();
    let mut switches = |fault| {
        let params = BlockParams { fault, ..host.params(BlockKind::Messages, 20) };
        host.begin(&params);
        for seq in params.first_seq..params.first_seq + 20 {
            sleep(Duration::from_millis(1));
            host.pingpong(seq);
        }
        host.end().voluntary_switches
    };
    let (polling, sleeping) = (switches(None), switches(Some(Fault::SleepyGuest)));
    assert!(sleeping >= 20 && polling * 4 < sleeping, "{polling}, sleepy {sleeping}");
    host.finish().unwrap();
}

#[test]
fn wrong_stamp_is_later_than_the_ack() {
    let mut host = TestHost::start();
    let params = params(&mut host, BlockKind::Messages, 5, Fault::WrongStamp);
    host.begin(&params);
    let mut sent = Vec::new();
    for seq in params.first_seq..params.first_seq + 5 {
        sent.push((seq, tsc_now()));
        host.pingpong(seq);
    }
    host.end();
    for (seq, sent) in sent {
        assert!(host.stamps(seq).acked - sent >= 4_000_000);
    }
    host.finish().unwrap();
}

#[test]
fn drifting_clock_moves_between_blocks() {
    let mut host = TestHost::start();
    for _ in 0..6 {
        let params = params(&mut host, BlockKind::Clock, 20, Fault::DriftingClock);
        host.begin(&params);
        let mut least = u64::MAX;
        for seq in params.first_seq..params.first_seq + 20 {
            let sent = tsc_now();
            host.pingpong(seq);
            least = least.min(host.word(GUEST_STAMP).load(Ordering::Relaxed) - sent);
        }
        host.end();
        assert!(least >= host.epoch % 3 * 400_000, "{least} ticks in epoch {}", host.epoch);
    }
    host.finish().unwrap();
}

#[test]
fn stall_delays_one_message() {
    const STALLS_AT: u64 = 300;
    let mut host = TestHost::start();
    let params = params(&mut host, BlockKind::Messages, STALLS_AT + 1, Fault::Stall);
    host.begin(&params);
    let last = params.first_seq + STALLS_AT;
    for seq in params.first_seq..last {
        host.pingpong(seq);
    }
    let start = Instant::now();
    host.pingpong(last);
    assert!(start.elapsed() >= Duration::from_millis(200));
    host.end();
    host.finish().unwrap();
}
