//! What the initiator asks of the kernel while it measures: nothing where it polls, and where it blocks only what blocking
//! and ringing are. Counted by strace, which is attached to a real run.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Stdio};

use crate::support::bench;

/// The calls between one label and the next, in the order in which they were made. The initiator calls its thread
/// "measuring" while it measures.
fn measured_stretches(trace: &str) -> Vec<Vec<&str>> {
    let mut stretches = Vec::new();
    let mut current: Option<Vec<&str>> = None;
    for line in trace.lines() {
        let call = line.split_once(' ').map_or(line, |(_, call)| call.trim_start());
        if call.starts_with("prctl(PR_SET_NAME, \"measuring\"") {
            current = Some(Vec::new());
        } else if call.starts_with("prctl(PR_SET_NAME, \"host-peer\"") {
            stretches.extend(current.take());
        } else if let Some(current) = &mut current {
            current.push(call.split('(').next().unwrap_or(call));
        }
    }
    stretches
}

/// Runs pingpong in one mode with strace attached to the initiator; the calls of every stretch that was seen whole.
fn traced(mode: &str) -> Vec<BTreeMap<String, usize>> {
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("trace");
    let mut run = bench(&format!("--workload pingpong --full --mode {mode}"));
    let initiator = run.child_when("host-peer", "samples.csv", "pingpong");
    let mut strace = Command::new("strace");
    strace.args(["-f", "-q", "-p", &initiator.to_string(), "-o"]).arg(&trace);
    let mut strace = strace.stdin(Stdio::null()).spawn().expect("strace is among the packages that tests install");
    let ended = run.end();
    assert!(strace.wait().unwrap().success(), "strace could not attach");
    assert!(ended.result()["cells"][0]["n"].as_u64() > Some(0));
    let text = fs::read_to_string(trace).unwrap();
    let count = |stretch: Vec<&str>| {
        let mut counts = BTreeMap::new();
        for call in stretch {
            *counts.entry(call.to_owned()).or_default() += 1;
        }
        counts
    };
    let stretches: Vec<BTreeMap<String, usize>> = measured_stretches(&text).into_iter().map(count).collect();
    assert!(!stretches.is_empty(), "no block was seen whole");
    stretches
}

/// Operations of a block of a full run.
const OPERATIONS: usize = 12_500;

#[test]
#[ignore = "starts a guest"]
fn polling_asks_the_kernel_for_nothing() {
    for calls in traced("poll") {
        // A guest that stalls is looked after a hundred times a second: that is one call of poll each, and none per operation.
        let looks = calls.get("poll").or(calls.get("ppoll")).copied().unwrap_or(0);
        let all: usize = calls.values().sum();
        assert_eq!(all, looks, "{calls:?}");
        assert!(looks < OPERATIONS / 100, "{calls:?}");
    }
}

#[test]
#[ignore = "starts a guest"]
fn blocking_asks_for_one_ring_one_wait_and_one_read_per_operation() {
    for calls in traced("irq") {
        let count = |name: &str| calls.get(name).copied().unwrap_or(0);
        assert_eq!(count("write"), OPERATIONS, "one ring each: {calls:?}");
        assert_eq!(count("read"), OPERATIONS, "one event each: {calls:?}");
        // Its guard may end a wait, which is then begun again, and the server's socket is looked at meanwhile.
        let waits = count("poll") + count("ppoll");
        assert!((OPERATIONS..OPERATIONS + OPERATIONS / 10).contains(&waits), "{calls:?}");
        let others: usize = calls
            .iter()
            .filter(|(name, _)| !["write", "read", "poll", "ppoll"].contains(&name.as_str()))
            .map(|(_, n)| n)
            .sum();
        assert_eq!(others, 0, "{calls:?}");
    }
}
