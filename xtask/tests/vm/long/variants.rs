//! Variants of short tests: all nine pairs of wait modes, a fault with hybrid waits, a fault on a shared core.

use bench_model::Fault;

use crate::bench::faults::is_caught;
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
