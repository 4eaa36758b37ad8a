//! The initiator's system calls during a measurement, counted by strace: none while polling, and only blocking and ringing
//! with irq.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::support::bench;

/// The system calls of each measured block. The initiator's thread has the name "measuring" during a measurement.
fn measured_blocks(trace: &str) -> Vec<Vec<&str>> {
    let mut blocks = Vec::new();
    let mut current: Option<Vec<&str>> = None;
    for line in trace.lines() {
        let call = line.split_once(' ').map_or(line, |(_, call)| call.trim_start());
        if call.starts_with("prctl(PR_SET_NAME, \"measuring\"") {
            current = Some(Vec::new());
        } else if call.starts_with("prctl(PR_SET_NAME, \"host-peer\"") {
            blocks.extend(current.take());
        } else if let Some(current) = &mut current {
            current.push(call.split('(').next().unwrap_or(call));
        }
    }
    blocks
}

/// Runs pingpong in one mode with strace attached to the initiator. Returns the calls of each completely traced block.
fn traced(mode: &str) -> Vec<BTreeMap<String, usize>> {
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("trace");
    let mut run = bench(&format!("--workload pingpong --full --mode {mode}"));
    let initiator = run.child_when("host-peer", "samples.csv", "pingpong");
    let mut strace = Command::new("strace");
    strace.args(["-f", "-q", "-p", &initiator.to_string(), "-o"]).arg(&trace);
    let mut strace = strace.stdin(Stdio::null()).spawn().expect("the tests install strace");
    while run.is_on() && measured_blocks(&fs::read_to_string(&trace).unwrap_or_default()).len() < ENOUGH {
        sleep(Duration::from_millis(100));
    }
    run.signal(Signal::SIGINT);
    let ended = run.end();
    assert!(strace.wait().unwrap().success(), "strace could not attach");
    ended.assert_stderr_contains("stopped by a signal");
    let text = fs::read_to_string(trace).unwrap();
    let count = |block: Vec<&str>| {
        let mut counts = BTreeMap::new();
        for call in block {
            *counts.entry(call.to_owned()).or_default() += 1;
        }
        counts
    };
    // The last block may be incomplete.
    let blocks: Vec<BTreeMap<String, usize>> = measured_blocks(&text).into_iter().take(ENOUGH).map(count).collect();
    assert!(blocks.len() >= ENOUGH, "{} complete blocks", blocks.len());
    blocks
}

/// Number of complete blocks to check.
const ENOUGH: usize = 2;
/// Operations of a block of a full run.
const OPERATIONS: usize = 12_500;

/// The calls that watch the server's socket, at most a hundred times a second.
const WATCH_CALLS: [&str; 3] = ["recvmsg", "poll", "ppoll"];

/// The number of calls with these names.
fn calls_of(calls: &BTreeMap<String, usize>, names: &[&str]) -> usize {
    names.iter().filter_map(|name| calls.get(*name)).sum()
}

#[test]
#[ignore = "starts a guest"]
fn polling_makes_no_system_calls() {
    for calls in traced("poll") {
        // A stall of the guest causes a few calls. Operations cause none.
        let watching = calls_of(&calls, &WATCH_CALLS);
        let all: usize = calls.values().sum();
        assert_eq!(all, watching, "{calls:?}");
        assert!(watching < OPERATIONS / 100, "{calls:?}");
    }
}

#[test]
#[ignore = "starts a guest"]
fn blocking_makes_one_write_poll_and_read_per_operation() {
    for calls in traced("irq") {
        assert_eq!(calls_of(&calls, &["write"]), OPERATIONS, "one ring each: {calls:?}");
        // A traced initiator may be delayed after its ring and find the acknowledgement before it blocks. The limit is one in
        // a hundred operations, as in every run.
        let reads = calls_of(&calls, &["read"]);
        assert!((OPERATIONS - OPERATIONS / 100..=OPERATIONS).contains(&reads), "one event each: {calls:?}");
        // A wait timeout restarts a wait, and the server's socket is watched.
        let waits = calls_of(&calls, &WATCH_CALLS);
        assert!((reads..OPERATIONS + OPERATIONS / 10).contains(&waits), "{calls:?}");
        let all: usize = calls.values().sum();
        assert_eq!(all, OPERATIONS + reads + waits, "{calls:?}");
    }
}
