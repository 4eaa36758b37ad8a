//! The accelerator in the result, and the CPU usage of the threads.

use crate::support::{bench, measured_once};

#[test]
#[ignore = "starts a guest"]
fn emulation_that_claims_kvm_fails_the_run() {
    let ended = bench("--workload pingpong --mode irq --fault claim-kvm").end();
    ended.assert_status(1);
    assert_eq!(ended.failed_checks(), [11], "{}", ended.stdout);
    let environment = &ended.result()["environment"];
    assert_eq!((&environment["accel"], &environment["accel_seen"]), (&"kvm".into(), &"tcg".into()));
}

#[test]
#[ignore = "starts a guest"]
fn blocking_sleeps_per_operation_and_polling_does_not() {
    let ended = measured_once("--workload pingpong");
    let result = ended.result();
    let environment = &result["environment"];
    assert_eq!((&environment["irqfd"], &environment["accel_seen"]), (&false.into(), &"tcg".into()));
    for cell in result["cells"].as_array().unwrap() {
        let cpu = &cell["cpu"];
        let sleeps = cpu["switches_per_op"]["host"].as_f64().unwrap();
        let wakeups = cpu["wakeups_per_op"].as_f64().unwrap();
        if cell["mode"] == "poll" {
            assert!(sleeps < 0.01 && wakeups < 0.01, "{cpu}");
        } else {
            assert!(sleeps > 0.9 && wakeups > 1.9, "{cpu}");
        }
        assert_eq!(cpu["vcpus_us_per_op"].as_array().unwrap().len(), 1);
        // Hardware counters, or the reason for their absence.
        assert!(cpu["perf"].is_object() || environment["perf_missing"].is_string(), "{cpu}");
    }
    assert_eq!(
        environment["perf_missing"].is_string(),
        ended.stdout.contains("hardware counters: n/a"),
        "{}",
        ended.stdout
    );
}
