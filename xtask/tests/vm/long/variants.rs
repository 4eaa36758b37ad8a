//! Long or rare variants of short tests: all pairs of wait modes, more faults, a stall in an open loop.

use bench_model::Fault;

use crate::bench::faults::{DOORBELLS, FRAMES, ROUND_TRIPS, is_caught};
use crate::bench::workloads::{cells, passing_run};
use crate::support::bench;

#[test]
#[ignore = "starts a guest"]
fn matrix_has_nine_cells_in_one_boot() {
    let result = passing_run("--workload pingpong,paced --matrix").result();
    for (workload, n) in [("pingpong", 10_000), ("paced", 1_000)] {
        let cells = cells(&result, workload);
        let mut waits: Vec<(&str, &str)> =
            cells.iter().map(|c| (c["host_wait"].as_str().unwrap(), c["guest_wait"].as_str().unwrap())).collect();
        waits.sort_unstable();
        waits.dedup();
        assert_eq!(waits.len(), 9);
        assert!(cells.iter().all(|cell| cell["n"] == n), "{cells:?}");
    }
    assert_eq!(
        result["comparisons"].as_array().unwrap().len(),
        21,
        "each cell but poll/poll, twice; and five of the six stamped ones, whose guests spin"
    );
}

#[test]
#[ignore = "starts a guest"]
fn wrong_hash_and_corrupt_frame_are_caught() {
    is_caught(Fault::WrongHash, FRAMES);
    is_caught(Fault::CorruptFrame, FRAMES);
}

#[test]
#[ignore = "starts a guest"]
fn lost_last_message_of_a_storm_is_caught() {
    is_caught(Fault::BlindStorm, "--workload storm --mode irq");
}

#[test]
#[ignore = "starts a guest"]
fn lost_doorbell_to_the_host_is_caught() {
    is_caught(Fault::DropAnswer, DOORBELLS);
}

#[test]
#[ignore = "starts a guest"]
fn sleeping_host_is_caught() {
    is_caught(Fault::SleepyHost, ROUND_TRIPS);
}

#[test]
#[ignore = "starts a guest"]
fn lost_doorbell_is_caught_with_hybrid_waits() {
    is_caught(Fault::DropDoorbell, "--workload pingpong --mode irq,hybrid");
}

#[test]
#[ignore = "starts a guest"]
fn wandering_initiator_is_caught_on_a_shared_core() {
    let ended = bench("--workload contention --mode irq --fault wander").end();
    ended.assert_status(1);
    assert_eq!(ended.failed_checks(), [12], "{}", ended.stdout);
}

#[test]
#[ignore = "starts a guest"]
fn stall_shows_in_the_corrected_percentiles() {
    let ended = passing_run("--workload openloop --mode poll --rate 1000 --fault stall");
    for cell in cells(&ended.result(), "openloop") {
        // 2,000 messages at 1,000 per second: a stall of 0.2 s delays about 200 of them. A closed loop would show one per
        // block.
        let figure = |metric: &str, statistic: &str| cell[metric][statistic].as_u64().unwrap();
        assert!(figure("latency_ns", "max") > 100_000_000, "the stall is there: {cell}");
        assert!(figure("corrected_ns", "p95") > 50_000_000, "corrected: {cell}");
        assert!(figure("corrected_ns", "p95") > 10 * figure("latency_ns", "p95"), "raw: {cell}");
    }
}
