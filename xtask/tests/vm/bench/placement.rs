//! Threads stay where they are put, and one that does not is caught.

use serde_json::Value;

use crate::support::{Ended, bench, measured_once};

/// Whether the threads stayed: `null` if there was nothing to look at.
fn stayed(ended: &Ended) -> Value {
    let result = ended.result();
    let mut checks = result["self_checks"].as_array().unwrap().iter();
    checks.find(|check| check["id"] == 12).unwrap()["pass"].clone()
}

#[test]
#[ignore = "starts a guest"]
fn threads_stay_on_their_cpus_and_the_environment_says_where() {
    let ended = measured_once("--workload pingpong");
    assert_eq!(stayed(&ended), true);
    let environment = &ended.result()["environment"];
    let pinning = environment["pinning"].as_str().unwrap();
    assert!(pinning.starts_with("host=") && pinning.contains("vcpu0="), "{pinning}");
    for known in ["host_command_line", "guest_command_line", "qemu_command", "rustc_version", "host_clocksource"] {
        assert!(environment[known].as_str().is_some_and(|text| !text.is_empty()), "{known}");
    }
    assert_eq!(environment["irqfd"], false);
    assert!(environment["load_average"].is_number() && environment["involuntary_switches"].is_number());

    // What the environment says can be asked for again.
    let again = bench(&format!("--workload pingpong --mode irq --pin {pinning}")).end();
    again.assert_status(0);
    assert_eq!(again.result()["environment"]["pinning"], pinning);
}

#[test]
#[ignore = "starts a guest"]
fn an_initiator_that_wanders_off_fails_this_check_and_no_other() {
    let ended = bench("--workload pingpong --mode irq --fault wander").end();
    ended.assert_status(1);
    assert_eq!(ended.failed_checks(), [12], "{}", ended.stdout);
    assert!(ended.stdout.contains("host was to stay on CPU"), "{}", ended.stdout);
}

#[test]
#[ignore = "starts a guest"]
fn an_initiator_that_wanders_off_when_both_sides_share_a_core_is_seen_too() {
    let ended = bench("--workload contention --mode irq --fault wander").end();
    ended.assert_status(1);
    assert_eq!(ended.failed_checks(), [12], "{}", ended.stdout);
}

#[test]
#[ignore = "starts a guest"]
fn without_pinning_there_is_nothing_to_check() {
    let ended = bench("--workload pingpong --mode irq --pin none").end();
    ended.assert_status(0);
    assert_eq!(stayed(&ended), Value::Null);
    assert_eq!(ended.result()["environment"]["pinning"], "none");
}
