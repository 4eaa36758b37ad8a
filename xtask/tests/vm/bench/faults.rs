//! Each self-check can fail: a party is broken on purpose in a real run, and exactly the check that is about it says so.

use bench_model::Fault;

use crate::support::bench;

/// Runs with a fault; exactly the check that is about it must fail.
#[track_caller]
fn is_caught(fault: Fault, words: &str) {
    let ended = bench(&format!("{words} --fault {}", fault.name())).end();
    ended.assert_status(1);
    let caught_by = u64::from(fault.caught_by().unwrap());
    assert_eq!(ended.failed_checks(), [caught_by], "{}\n{}", ended.stdout, ended.stderr);
}

const FRAMES: &str = "--workload frame --frames 1080p --mode irq";
const ROUND_TRIPS: &str = "--workload pingpong --mode poll";
const DOORBELLS: &str = "--workload pingpong --mode irq";

#[test]
#[ignore = "starts a guest"]
fn a_guest_that_claims_to_have_read_what_it_has_not() {
    is_caught(Fault::ShortRead, FRAMES);
}

#[test]
#[ignore = "starts a guest"]
fn a_frame_whose_hash_is_wrong_one_that_is_corrupted_and_a_guest_that_does_not_look() {
    is_caught(Fault::WrongHash, FRAMES);
    is_caught(Fault::CorruptFrame, FRAMES);
    is_caught(Fault::SkipVerify, FRAMES);
}

#[test]
#[ignore = "starts a guest"]
fn a_guest_that_answers_before_it_is_asked() {
    is_caught(Fault::EarlyAck, ROUND_TRIPS);
}

#[test]
#[ignore = "starts a guest"]
fn a_doorbell_that_nobody_counted() {
    is_caught(Fault::UncountedDoorbell, DOORBELLS);
}

#[test]
#[ignore = "starts a guest"]
fn a_storm_whose_last_message_is_not_seen() {
    is_caught(Fault::BlindStorm, "--workload storm --mode irq");
}

#[test]
#[ignore = "starts a guest"]
fn a_doorbell_that_is_lost_on_either_way() {
    is_caught(Fault::DropDoorbell, DOORBELLS);
    is_caught(Fault::DropAnswer, DOORBELLS);
}

#[test]
#[ignore = "starts a guest"]
fn a_doorbell_that_is_lost_where_hybrid_waits_are_measured_first() {
    is_caught(Fault::DropDoorbell, "--workload pingpong --mode irq,hybrid");
}

#[test]
#[ignore = "starts a guest"]
fn a_side_that_sleeps_where_it_was_to_poll() {
    is_caught(Fault::SleepyHost, ROUND_TRIPS);
    is_caught(Fault::SleepyGuest, ROUND_TRIPS);
}

#[test]
#[ignore = "starts a guest"]
fn a_guest_whose_stamps_are_wrong() {
    is_caught(Fault::WrongStamp, ROUND_TRIPS);
}

#[test]
#[ignore = "starts a guest"]
fn a_guest_that_verifies_faster_than_it_can_hash() {
    is_caught(Fault::ShortVerify, FRAMES);
}

#[test]
#[ignore = "starts a guest"]
fn a_clock_that_moves() {
    is_caught(Fault::DriftingClock, ROUND_TRIPS);
}

#[test]
#[ignore = "starts a guest"]
fn a_host_whose_own_cost_hides_what_it_measures() {
    is_caught(Fault::SlowStamps, ROUND_TRIPS);
}
