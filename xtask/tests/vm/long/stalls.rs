//! A process is stopped during a run: the stall is reported with its block and its effect.

use std::thread::sleep;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};

use crate::bench::failures::BLOCK;
use crate::support::{bench, name_of};

/// Stops a process for three seconds while the initiator measures a block. Returns the warnings of the run.
fn warnings_after_stop(words: &str, process: &str) -> Vec<String> {
    let mut run = bench(words);
    // While the guest boots, the initiator has this name.
    let initiator = run.child_when("host-peer", "plan.json", "nonce");
    let qemu = run.child_when("qemu-system-x86", "measured.jsonl", BLOCK);
    let stopped = if process == "host-peer" { initiator } else { qemu };
    // The thread name during a measurement.
    while name_of(initiator) != "measuring" {
        assert!(run.is_on(), "no block was measured");
        sleep(Duration::from_millis(1));
    }
    kill(stopped, Signal::SIGSTOP).unwrap();
    sleep(Duration::from_secs(3));
    kill(stopped, Signal::SIGCONT).unwrap();
    let ended = run.end();
    ended.assert_status(0);
    let result = ended.result();
    let warnings = result["warnings"].as_array().unwrap().iter();
    warnings.map(|warning| warning["message"].as_str().unwrap().to_owned()).collect()
}

#[test]
#[ignore = "starts a guest"]
fn stopped_process_causes_a_warning_with_block_and_effect() {
    for process in ["host-peer", "qemu-system-x86"] {
        for (words, cell) in [("--workload paced --mode poll", "(paced 64 B poll"), (PINGPONG, "(pingpong 64 B irq")] {
            let warnings = warnings_after_stop(words, process);
            let stall = warnings.iter().find(|text| text.contains("s (machine or process stopped)"));
            let stall = stall.unwrap_or_else(|| panic!("{process}, {words}: {warnings:#?}"));
            assert!(stall.starts_with("block ") && stall.contains(cell), "{process}: {stall}");
            assert!(stall.contains(" of ") && stall.contains("CPU per operation"), "{process}: {stall}");
        }
    }
}

/// Blocks that last long enough.
const PINGPONG: &str = "--workload pingpong --mode irq --full";
