//! What the initiator asks of the kernel while it measures: nothing where it polls, and where it blocks only what blocking
//! and ringing are. Counted by strace, which is attached to a real run.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use nix::sys::signal::Signal;

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
    while run.is_on() && measured_stretches(&fs::read_to_string(&trace).unwrap_or_default()).len() < ENOUGH {
        sleep(Duration::from_millis(100));
    }
    run.signal(Signal::SIGINT);
    let ended = run.end();
    assert!(strace.wait().unwrap().success(), "strace could not attach");
    ended.assert_says("stopped by a signal");
    let text = fs::read_to_string(trace).unwrap();
    let count = |stretch: Vec<&str>| {
        let mut counts = BTreeMap::new();
        for call in stretch {
            *counts.entry(call.to_owned()).or_default() += 1;
        }
        counts
    };
    // The one in which the run was stopped may come behind these.
    let stretches: Vec<BTreeMap<String, usize>> =
        measured_stretches(&text).into_iter().take(ENOUGH).map(count).collect();
    assert!(stretches.len() >= ENOUGH, "{} blocks were seen whole", stretches.len());
    stretches
}

/// Blocks to look at, seen from their first call to their last.
const ENOUGH: usize = 2;
/// Operations of a block of a full run.
const OPERATIONS: usize = 12_500;

/// What looking after the server's socket is made of: no more than a hundred times a second, while nothing else is to do.
const LOOKS: [&str; 3] = ["recvmsg", "poll", "ppoll"];

/// The calls of a stretch by one of these names.
fn calls_of(calls: &BTreeMap<String, usize>, names: &[&str]) -> usize {
    names.iter().filter_map(|name| calls.get(*name)).sum()
}

#[test]
#[ignore = "starts a guest"]
fn polling_asks_the_kernel_for_nothing() {
    for calls in traced("poll") {
        // A guest that stalls is looked after now and then: a few calls a stall, and none per operation.
        let looks = calls_of(&calls, &LOOKS);
        let all: usize = calls.values().sum();
        assert_eq!(all, looks, "{calls:?}");
        assert!(looks < OPERATIONS / 100, "{calls:?}");
    }
}

#[test]
#[ignore = "starts a guest"]
fn blocking_asks_for_one_ring_one_wait_and_one_read_per_operation() {
    for calls in traced("irq") {
        assert_eq!(calls_of(&calls, &["write"]), OPERATIONS, "one ring each: {calls:?}");
        // An initiator that is held up behind its ring, as one that is traced often is, may find the answer there before
        // it blocks. As in every run, of a hundred operations that is one at the most.
        let reads = calls_of(&calls, &["read"]);
        assert!((OPERATIONS - OPERATIONS / 100..=OPERATIONS).contains(&reads), "one event each: {calls:?}");
        // Its guard may end a wait, which is then begun again, and the server's socket is looked at meanwhile.
        let waits = calls_of(&calls, &LOOKS);
        assert!((reads..OPERATIONS + OPERATIONS / 10).contains(&waits), "{calls:?}");
        let all: usize = calls.values().sum();
        assert_eq!(all, OPERATIONS + reads + waits, "{calls:?}");
    }
}
