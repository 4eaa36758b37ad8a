//! `cargo xtask compare`, as in a script or CI: output and exit status.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use bench_model::raw::{ClockFit, Counters, CpuTime, GuestFacts, RawBlock, RawRun};
use bench_model::samples::COLUMNS;
use bench_model::{Block, Conditions, WaitMode, Workload};
use report::result::environment::Environment;
use serde_json::Value;
use tempfile::TempDir;

/// A synthetic run: eight blocks of polled round trips of about `rtt_ns`.
fn run(rtt_ns: u64) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let blocks: Vec<RawBlock> = (0..8).map(block).collect();
    let row = |seq: u64| {
        let field = |name: &str| match name {
            "block" => (seq / 100).to_string(),
            "workload" => "pingpong".to_owned(),
            "mode" | "host_wait" | "guest_wait" => "poll".to_owned(),
            "size_bytes" => "64".to_owned(),
            // One more stamp, which shows that the guest recorded stamps.
            "seq" | "g5_ns" => seq.to_string(),
            "rtt_ns" => (rtt_ns + seq * 7_919 % 100).to_string(),
            "status" => "ok".to_owned(),
            _ => String::new(),
        };
        COLUMNS.map(field).join(",") + "\n"
    };
    let header = COLUMNS.join(",") + "\n";
    let samples = header + &(0..800).map(row).collect::<String>();
    let measured = RawRun {
        guest: GuestFacts { driver: "uio_pci_generic".into(), ..GuestFacts::default() },
        tsc_hz: 1e9,
        host_peer: 1,
        guest_peer: 0,
        spin_ns: None,
        perf_missing: None,
        memory_bytes: 1 << 20,
        ceilings: Vec::new(),
        overhead: None,
        blocks,
        aborted: None,
    };
    fs::write(dir.path().join("samples.csv"), samples).unwrap();
    fs::write(dir.path().join("measured.json"), serde_json::to_vec(&measured).unwrap()).unwrap();
    let environment = Environment { accel: "tcg".into(), accel_seen: Some("tcg".into()), ..Environment::default() };
    let result = report::render(dir.path(), environment, &serde_json::json!({})).unwrap();
    assert!(result.passed(), "{:?}", result.self_checks);
    dir
}

fn block(index: u32) -> RawBlock {
    RawBlock {
        block: Block {
            index,
            workload: Workload::Pingpong,
            host_wait: WaitMode::Poll,
            guest_wait: WaitMode::Poll,
            size_bytes: 64,
            warmup: 0,
            count: 100,
            limit_ms: None,
            corrupt_one: false,
            conditions: Conditions::default(),
        },
        wall_ns: 1_000_000,
        operations: 100,
        counters: Counters { interrupts: Some(0), uio_events: Some(0), ..Counters::default() },
        cpu: CpuTime { host_ns: 1_000_000, vcpu_ns: Some(1_000_000), main_loop_ns: Some(0), ..CpuTime::default() },
        clock: ClockFit { before_ns: 0.0, after_ns: 0.0, bound_ns: 20.0 },
        corrupt_answer: None,
        bytes_verified: 0,
        traffic: None,
        unsent: 0,
        placement: None,
        suspended_ns: 0,
    }
}

struct CompareOutput {
    status: Option<i32>,
    stdout: String,
    stderr: String,
}

fn compare(dirs: &[&Path], flags: &str) -> CompareOutput {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.arg("compare").args(dirs).args(flags.split_whitespace()).stdin(Stdio::null());
    let output = command.output().unwrap();
    CompareOutput {
        status: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

#[test]
fn limit_determines_the_exit_status() {
    let (base, same, slow) = (run(10_000), run(10_001), run(12_000));
    let kept = compare(&[base.path(), same.path()], "--fail-above 10%");
    assert_eq!(kept.status, Some(0), "{}{}", kept.stdout, kept.stderr);
    assert!(kept.stdout.contains("not significant") && kept.stdout.contains("passed: "), "{}", kept.stdout);

    let broken = compare(&[base.path(), slow.path()], "--fail-above 10%");
    assert_eq!(broken.status, Some(1));
    assert!(broken.stdout.contains("p50 is 1.20 times the baseline's"), "{}", broken.stdout);
    assert_eq!(compare(&[base.path(), slow.path()], "").status, Some(0), "only a report without a limit");
    assert_eq!(compare(&[base.path(), slow.path()], "--fail-above 30%").status, Some(0));
    assert_eq!(compare(&[slow.path(), base.path()], "--fail-above 0%").status, Some(0), "faster passes");
}

#[test]
fn every_compared_run_is_checked_against_the_limit() {
    let (base, slow) = (run(10_000), run(12_000));
    let ended = compare(&[base.path(), base.path(), slow.path(), base.path()], "--json --fail-above 10%");
    assert_eq!(ended.status, Some(1));
    let document: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(document["comparisons"].as_array().map(Vec::len), Some(3));
    let regressions = document["gate"]["regressions"].as_array().unwrap();
    assert_eq!(regressions.iter().map(|regression| regression["run"].as_u64()).collect::<Vec<_>>(), [Some(2)]);
    assert_eq!(document["comparisons"][0]["identical"], true);
    assert_eq!(document["comparisons"][1]["cells"][0]["word"], "slower");
}

#[test]
fn wrong_usage_has_status_2_and_unreadable_run_1() {
    let base = run(10_000);
    let one = compare(&[base.path()], "");
    assert_eq!(one.status, Some(2), "{}", one.stderr);
    for flag in ["--fail-above", "--fail-above-p99"] {
        for nonsense in ["ten", "-5", "-5%", "nan", "inf", "%", "10%%%", "1e300"] {
            let ended = compare(&[base.path(), base.path()], &format!("{flag} {nonsense}"));
            assert_eq!(ended.status, Some(2), "{nonsense}: {}", ended.stderr);
            assert!(ended.stderr.contains("per cent from 0 to 100000, such as 10%"), "{nonsense}: {}", ended.stderr);
        }
    }
    let missing = compare(&[base.path(), &base.path().join("nowhere")], "--json");
    assert_eq!((missing.status, missing.stdout.as_str()), (Some(2), ""));
    assert!(missing.stderr.contains("nowhere: no such directory"), "{}", missing.stderr);
    let several = tempfile::tempdir().unwrap();
    fs::create_dir(several.path().join("vfio-pci")).unwrap();
    fs::write(several.path().join("vfio-pci/result.json"), "{}").unwrap();
    let several = compare(&[base.path(), several.path()], "");
    assert_eq!(several.status, Some(2));
    assert!(several.stderr.contains("vfio-pci"), "{}", several.stderr);
    let unfinished = run(10_000);
    fs::remove_file(unfinished.path().join("result.json")).unwrap();
    let unfinished = compare(&[base.path(), unfinished.path()], "");
    assert_eq!(unfinished.status, Some(1));
    assert!(unfinished.stderr.contains("cargo xtask report"), "{}", unfinished.stderr);
}
