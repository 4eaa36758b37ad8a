//! Pinned threads stay on their CPUs, and a self-check catches one that does not.

use serde_json::Value;

use crate::support::{FinishedBench, bench, measured_once};

/// The result of the affinity self-check: `null` if it did not apply.
fn affinity_check(ended: &FinishedBench) -> Value {
    let result = ended.result();
    let mut checks = result["self_checks"].as_array().unwrap().iter();
    checks.find(|check| check["id"] == 12).unwrap()["pass"].clone()
}

#[test]
#[ignore = "starts a guest"]
fn threads_stay_on_the_recorded_cpus() {
    let ended = measured_once("--workload pingpong");
    assert_eq!(affinity_check(&ended), true);
    let environment = &ended.result()["environment"];
    let pinning = environment["pinning"].as_str().unwrap();
    assert!(pinning.starts_with("host=") && pinning.contains("vcpu0="), "{pinning}");
    for field in ["host_command_line", "guest_command_line", "qemu_command", "rustc_version", "host_clocksource"] {
        assert!(environment[field].as_str().is_some_and(|text| !text.is_empty()), "{field}");
    }
    assert_eq!(environment["irqfd"], false);
    assert!(environment["load_average"].is_number() && environment["involuntary_switches"].is_number());

    // The recorded pinning is valid for --pin.
    let again = bench(&format!("--workload pingpong --mode irq --pin {pinning}")).end();
    again.assert_status(0);
    assert_eq!(again.result()["environment"]["pinning"], pinning);
}

#[test]
#[ignore = "starts a guest"]
fn wandering_initiator_fails_only_the_affinity_check() {
    let ended = bench("--workload pingpong --mode irq --fault wander").end();
    ended.assert_status(1);
    assert_eq!(ended.failed_checks(), [12], "{}", ended.stdout);
    assert!(ended.stdout.contains("host should stay on CPU"), "{}", ended.stdout);
}

#[test]
#[ignore = "starts a guest"]
fn affinity_check_does_not_apply_without_pinning() {
    let ended = bench("--workload pingpong --mode irq --pin none").end();
    ended.assert_status(0);
    assert_eq!(affinity_check(&ended), Value::Null);
    assert_eq!(ended.result()["environment"]["pinning"], "none");
}
