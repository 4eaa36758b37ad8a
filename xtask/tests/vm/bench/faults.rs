//! Each self-check can fail: a fault is injected into a real run, and exactly one self-check catches it.

use bench_model::Fault;

use crate::support::bench;

/// Runs with a fault. Exactly the check that must catch it fails.
#[track_caller]
pub(crate) fn is_caught(fault: Fault, words: &str) {
    let ended = bench(&format!("{words} --fault {}", fault.name())).end();
    ended.assert_status(1);
    let caught_by = u64::from(fault.caught_by().unwrap());
    assert_eq!(ended.failed_checks(), [caught_by], "{}\n{}", ended.stdout, ended.stderr);
}

pub(crate) const FRAMES: &str = "--workload frame --frames 1080p --mode irq";
pub(crate) const ROUND_TRIPS: &str = "--workload pingpong --mode poll";
pub(crate) const DOORBELLS: &str = "--workload pingpong --mode irq";

#[test]
#[ignore = "starts a guest"]
fn short_read_is_caught() {
    is_caught(Fault::ShortRead, FRAMES);
}

#[test]
#[ignore = "starts a guest"]
fn skipped_verify_is_caught() {
    is_caught(Fault::SkipVerify, FRAMES);
}

#[test]
#[ignore = "starts a guest"]
fn early_ack_is_caught() {
    is_caught(Fault::EarlyAck, ROUND_TRIPS);
}

#[test]
#[ignore = "starts a guest"]
fn uncounted_doorbell_is_caught() {
    is_caught(Fault::UncountedDoorbell, DOORBELLS);
}

#[test]
#[ignore = "starts a guest"]
fn lost_doorbell_is_caught() {
    is_caught(Fault::DropDoorbell, DOORBELLS);
}

#[test]
#[ignore = "starts a guest"]
fn sleeping_instead_of_polling_is_caught() {
    is_caught(Fault::SleepyGuest, ROUND_TRIPS);
}

#[test]
#[ignore = "starts a guest"]
fn wrong_stamp_is_caught() {
    is_caught(Fault::WrongStamp, ROUND_TRIPS);
}

#[test]
#[ignore = "starts a guest"]
fn implausibly_fast_verify_is_caught() {
    is_caught(Fault::ShortVerify, FRAMES);
}

#[test]
#[ignore = "starts a guest"]
fn drifting_clock_is_caught() {
    is_caught(Fault::DriftingClock, ROUND_TRIPS);
}

#[test]
#[ignore = "starts a guest"]
fn high_instrument_overhead_is_caught() {
    is_caught(Fault::SlowStamps, ROUND_TRIPS);
}
