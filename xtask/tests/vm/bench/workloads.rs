//! Every workload on a real guest: what it counts, and that its figures are there. None of these looks at how long
//! anything took, but where one figure must show what another one hides.

use serde_json::Value;

use crate::support::{Ended, bench, measured_once};

/// Workloads that go into one boot.
const OTHERS: &str = "--workload pingpong,storm,idle,contention --mode poll,irq,hybrid";

/// Runs, and expects every check to pass.
#[track_caller]
fn good(words: &str) -> Ended {
    let ended = bench(words).end();
    ended.assert_status(0);
    ended
}

/// A workload's cells, but for those that are only about the stamps.
fn cells<'a>(result: &'a Value, workload: &str) -> Vec<&'a Value> {
    let all = result["cells"].as_array().unwrap().iter();
    all.filter(|cell| cell["workload"] == workload && cell["conditions"]["stamped"] != true).collect()
}

#[test]
#[ignore = "starts a guest"]
fn nine_cells_are_measured_in_one_boot() {
    let result = good("--workload pingpong,paced --matrix").result();
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
fn a_storm_coalesces_and_its_last_message_is_seen() {
    let result = measured_once(OTHERS).result();
    let cells = cells(&result, "storm");
    assert_eq!(cells.len(), 8, "three rates and no rate, two modes");
    for cell in cells {
        let (rings, interrupts) = (cell["counters"]["rings"].as_u64(), cell["counters"]["interrupts"].as_u64());
        assert_eq!(rings, cell["traffic"]["sent"].as_u64());
        assert!(interrupts >= Some(1) && interrupts <= rings, "{cell}");
        assert_eq!(cell["traffic"]["last_seen"], true);
    }
}

#[test]
#[ignore = "starts a guest"]
fn a_stream_carries_every_message_whole_with_and_without_suppressed_doorbells() {
    let result = good("--workload stream --mode poll,irq").result();
    let cells = cells(&result, "stream");
    assert_eq!(cells.len(), 4 * 2 * 3, "sizes, slots, and polling, blocking and blocking always rung");
    for cell in cells {
        let (sent, size) = (cell["traffic"]["sent"].as_u64().unwrap(), cell["size_bytes"].as_u64().unwrap());
        assert!(sent > 0);
        assert_eq!(cell["traffic"]["seen"], sent);
        assert_eq!(cell["bytes_verified"], 0, "only both ends of a message are looked at");
        assert_eq!(cell["bytes_per_second"].as_f64().map(|speed| speed > 0.0), Some(true), "{size} bytes");
        if cell["conditions"]["always_ring"] == true {
            // Each of the eight blocks rings once more, to say that there are no more.
            assert_eq!(cell["counters"]["rings"], sent + 8);
        }
    }
}

#[test]
#[ignore = "starts a guest"]
fn contention_has_every_number_of_busy_threads_and_one_core() {
    let result = measured_once(OTHERS).result();
    let cores = result["environment"]["cores"].as_u64().unwrap();
    let found = result["findings"]["contention"].as_array().unwrap();
    // Back to back and paced, beside none to one more than there are cores, and on one core.
    assert_eq!(found.len() as u64, 2 * (cores + 3), "{found:?}");
    assert_eq!(found.iter().filter(|one| one["one_core"] == true).count(), 2);
}

#[test]
#[ignore = "starts a guest"]
fn idling_blocks_without_work_and_polls_without_pause() {
    let result = measured_once(OTHERS).result();
    let cores = |mode: &str| {
        let idle = cells(&result, "idle").into_iter().find(|cell| cell["mode"] == mode).unwrap();
        idle["cpu"]["cores"].as_f64().unwrap()
    };
    assert!(cores("poll") > cores("irq"), "{} {}", cores("poll"), cores("irq"));
    assert_eq!(result["findings"]["break_even"][0]["mode"], "irq");
}

#[test]
#[ignore = "starts a guest"]
fn a_guest_that_stands_still_shows_in_the_corrected_percentiles() {
    let ended = good("--workload openloop --mode poll --rate 1000 --fault stall");
    for cell in cells(&ended.result(), "openloop") {
        // 2,000 messages at 1,000 per second: a fifth of a second keeps some two hundred of them waiting, and one in each
        // block is what a closed loop would have noticed.
        let figure = |of: &str, which: &str| cell[of][which].as_u64().unwrap();
        assert!(figure("latency_ns", "max") > 100_000_000, "the stall is there: {cell}");
        assert!(figure("corrected_ns", "p95") > 50_000_000, "corrected: {cell}");
        assert!(figure("corrected_ns", "p95") > 10 * figure("latency_ns", "p95"), "raw: {cell}");
    }
}

#[test]
#[ignore = "starts a guest"]
fn equal_things_are_measured_twice() {
    let result = good("--workload pingpong --mode poll --aa").result();
    let comparison = &result["comparisons"][0];
    assert_eq!((&comparison["mode"], &comparison["baseline"]), (&Value::from("poll"), &Value::from("poll")));
    assert!(comparison["p50_ratio_interval"]["low"].as_f64() <= comparison["p50_ratio"].as_f64());
    assert!(comparison["word"].is_string());
}

#[test]
#[ignore = "starts a guest"]
fn the_baseline_alone_has_both_sides_ceilings() {
    let result = good("--workload baseline").result();
    for side in ["host", "guest"] {
        for figure in [
            "heap_to_heap",
            "heap_to_region",
            "region_to_heap",
            "heap_read",
            "region_read",
            "sha256",
            "region_sha256",
            "stamp_ns",
        ] {
            assert!(result["ceilings"][0][side][figure].as_f64().unwrap() > 0.0, "{side} {figure}");
        }
    }
    assert!(result["overhead"]["empty_operation_ns"].as_f64().unwrap() > 0.0);
}

#[test]
#[ignore = "starts a guest"]
fn every_leg_of_a_round_trip_is_known_where_every_stamp_is_taken() {
    let result = measured_once("--workload pingpong").result();
    for cell in result["cells"].as_array().unwrap() {
        let known: Vec<&str> = ["notify", "ack", "handle", "answer"]
            .into_iter()
            .filter(|leg| cell["legs_ns"][leg]["n"].as_u64() > Some(0))
            .collect();
        let all = cell["mode"] == "irq" || cell["conditions"]["stamped"] == true;
        assert_eq!(known, if all { vec!["notify", "ack", "handle", "answer"] } else { vec!["answer"] }, "{cell}");
    }
}
