//! Every workload on a real guest: counters and completeness of the result. Durations are only compared with each other.

use serde_json::Value;

use crate::support::{FinishedBench, bench, measured_once};

/// Workloads of one boot.
const OTHERS: &str = "--workload pingpong,storm,idle,contention --mode poll,irq,hybrid";

/// Runs `bench`. Every self-check must pass.
#[track_caller]
pub(crate) fn passing_run(words: &str) -> FinishedBench {
    let ended = bench(words).end();
    ended.assert_status(0);
    ended
}

/// A workload's cells, without the fully stamped ones.
pub(crate) fn cells<'a>(result: &'a Value, workload: &str) -> Vec<&'a Value> {
    let all = result["cells"].as_array().unwrap().iter();
    all.filter(|cell| cell["workload"] == workload && cell["conditions"]["stamped"] != true).collect()
}

#[test]
#[ignore = "starts a guest"]
fn storm_coalesces_without_losing_the_last_message() {
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
fn stream_delivers_every_message() {
    let result = passing_run("--workload stream --mode poll,irq").result();
    let cells = cells(&result, "stream");
    assert_eq!(cells.len(), 4 * 2 * 3, "sizes, slots, and polling, blocking and blocking always rung");
    for cell in cells {
        let (sent, size) = (cell["traffic"]["sent"].as_u64().unwrap(), cell["size_bytes"].as_u64().unwrap());
        assert!(sent > 0);
        assert_eq!(cell["traffic"]["seen"], sent);
        assert_eq!(cell["bytes_verified"], 0, "only both ends of a message are checked");
        assert_eq!(cell["bytes_per_second"].as_f64().map(|speed| speed > 0.0), Some(true), "{size} bytes");
        if cell["conditions"]["always_ring"] == true {
            // Each of the eight blocks rings once more, to signal its end.
            assert_eq!(cell["counters"]["rings"], sent + 8);
        }
    }
}

#[test]
#[ignore = "starts a guest"]
fn contention_covers_busy_threads_and_shared_core() {
    let result = measured_once(OTHERS).result();
    let cores = result["environment"]["cores"].as_u64().unwrap();
    let found = result["findings"]["contention"].as_array().unwrap();
    // Back to back and paced, with 0 to cores + 1 busy threads, and on one core.
    assert_eq!(found.len() as u64, 2 * (cores + 3), "{found:?}");
    assert_eq!(found.iter().filter(|result| result["one_core"] == true).count(), 2);
}

#[test]
#[ignore = "starts a guest"]
fn idle_polling_uses_more_cpu_than_blocking() {
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
fn aa_compares_a_mode_with_itself() {
    let result = passing_run("--workload pingpong --mode poll --aa").result();
    let comparison = &result["comparisons"][0];
    assert_eq!((&comparison["mode"], &comparison["baseline"]), (&Value::from("poll"), &Value::from("poll")));
    assert!(comparison["p50_ratio_interval"]["low"].as_f64() <= comparison["p50_ratio"].as_f64());
    assert!(comparison["word"].is_string());
}

#[test]
#[ignore = "starts a guest"]
fn baseline_measures_peak_bandwidth_of_both_sides() {
    let result = passing_run("--workload baseline").result();
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
fn fully_stamped_cells_have_every_leg() {
    let result = measured_once("--workload pingpong").result();
    for cell in result["cells"].as_array().unwrap() {
        let legs: Vec<&str> = ["notify", "ack", "handle", "answer"]
            .into_iter()
            .filter(|leg| cell["legs_ns"][leg]["n"].as_u64() > Some(0))
            .collect();
        let all = cell["mode"] == "irq" || cell["conditions"]["stamped"] == true;
        assert_eq!(legs, if all { vec!["notify", "ack", "handle", "answer"] } else { vec!["answer"] }, "{cell}");
    }
}
