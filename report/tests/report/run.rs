//! Rendering a run's folder, complete or incomplete.

use std::error::Error;
use std::fs;
use std::path::Path;

use bench_model::samples::{COLUMNS, Status};
use bench_model::{WaitMode, Workload};
use report::io::read::read_result;
use report::result::CheckOutcome;
use report::result::environment::{Environment, HostLoad};
use report::{ReportError, RunResult, render};
use tempfile::TempDir;

use crate::synthetic::Synthetic;

pub(crate) fn folder(run: &Synthetic) -> TempDir {
    let dir = tempfile::tempdir().expect("a temporary directory");
    fs::write(dir.path().join("measured.json"), serde_json::to_vec(&run.measured).expect("JSON")).expect("written");
    let file = fs::File::create(dir.path().join("samples.csv")).expect("created");
    let mut rows = csv::WriterBuilder::new().has_headers(false).from_writer(file);
    // Like the initiator, which writes the header even if there are no rows.
    rows.write_record(COLUMNS).expect("a header");
    for row in &run.rows {
        rows.serialize(row).expect("a row");
    }
    rows.flush().expect("written");
    dir
}

/// Renders. Every test validates the document against the schema.
pub(crate) fn rendered(dir: &Path) -> Result<RunResult, ReportError> {
    let environment = Environment {
        accel: "tcg".into(),
        started: Some("2026-08-01T09:00:00+00:00".into()),
        // A number that an imprecise float parser rounds to a neighbouring value.
        load: HostLoad { steal_percent: Some(0.222_507_911_392_405_06), ..HostLoad::default() },
        ..Environment::default()
    };
    let result = render(dir, environment, &serde_json::json!({"mode": ["poll", "irq"]}))?;
    let text = fs::read(dir.join("result.json")).expect("written");
    assert_eq!(crate::io::schema::violations(&serde_json::from_slice(&text).expect("JSON")), [""; 0]);
    Ok(result)
}

pub(crate) fn lines(dir: &Path, name: &str) -> Vec<String> {
    fs::read_to_string(dir.join(name)).expect("the file is there").lines().map(str::to_owned).collect()
}

#[test]
fn run_produces_all_files() {
    let dir = folder(&Synthetic::both_modes());
    let result = rendered(dir.path()).expect("rendered");
    assert!(result.passed());

    let latency = lines(dir.path(), "latency_results.csv");
    assert_eq!(latency.len(), 81);
    assert_eq!(latency[..2], ["iteration,latency_ns,latency_us,mode", "0,210,0.21,poll"]);
    assert_eq!(latency[41], "0,60010,60.01,irq");

    let bandwidth = lines(dir.path(), "bandwidth_results.csv");
    assert_eq!(bandwidth.len(), 21);
    assert_eq!(
        bandwidth[0],
        "frame,iteration,size_bytes,mode,write_ns,notify_ns,read_ns,verify_ns,total_ns,gb_per_s,status,cold"
    );
    assert_eq!(bandwidth[1], "1080p,0,6220800,poll,500000,100,4000000,180000000,184500215,0.033717,ok,false");

    let mut names: Vec<_> =
        fs::read_dir(dir.path()).expect("a directory").map(|entry| entry.expect("an entry").file_name()).collect();
    names.sort();
    let wanted = [
        "bandwidth_results.csv",
        "cpu.csv",
        "frame-1080p-irq.hgrm",
        "frame-1080p-poll.hgrm",
        "latency_results.csv",
        "measured.json",
        "performance_report.txt",
        "pingpong-64B-irq.hgrm",
        "pingpong-64B-poll.hgrm",
        "plots",
        "report.html",
        "result.json",
        "run.hlog",
        "samples.csv",
    ];
    assert_eq!(names, wanted);
    assert!(dir.path().join("plots/latency_histogram.png").exists());
}

#[test]
fn result_json_field_names_are_stable() {
    let dir = folder(&Synthetic::both_modes());
    rendered(dir.path()).expect("rendered");
    let text = fs::read(dir.path().join("result.json")).expect("written");
    let document: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
    assert_eq!(document["schema_version"], 1);
    assert_eq!(document["environment"]["accel"], "tcg");
    assert_eq!(document["environment"]["driver"], "uio_pci_msix");
    assert_eq!(document["config"]["mode"][1], "irq");
    let cell = &document["cells"][0];
    assert_eq!(cell["mode"], "poll");
    assert_eq!(cell["latency_ns"]["min"], 210);
    assert_eq!(cell["latency_ns"]["p95"], 284);
    assert_eq!(cell["latency_ns"]["p99"], serde_json::Value::Null);
    assert_eq!(cell["cpu"]["host_us_per_op"], 100.0);
    assert_eq!(cell["cpu"]["cores"], 2.0);
    assert_eq!(cell["cpu"]["switches_per_op"]["host"], 0.0);
    assert_eq!(cell["cpu"]["wakeups_per_op"], 0.0);
    assert_eq!(cell["cpu"]["perf"], serde_json::Value::Null);
    let irq = &document["cells"][1]["cpu"];
    assert_eq!(irq["switches_per_op"]["main_loop"], 1.0);
    assert_eq!(irq["wakeups_per_op"], 2.0);
    assert_eq!(irq["vcpus_us_per_op"], serde_json::json!([25.0]));
    assert_eq!(document["cells"][1]["counters"]["interrupts"], 42);
    assert_eq!(document["self_checks"][0]["id"], 1);
    assert_eq!(document["self_checks"][0]["pass"], true);
    assert_eq!(document["ceilings"][0]["guest"]["stamp_ns"], 10.0);
    assert_eq!(document["overhead"]["empty_operation_ns"], 5.0);
    assert_eq!(document["comparisons"][0]["word"], "unknown", "one block of each has no noise to compare with");
    let ratio = document["comparisons"][0]["p50_ratio"].as_f64().expect("a ratio");
    assert!((ratio - 60_048.0 / 248.0).abs() < 1e-9, "{ratio}");
}

#[test]
fn result_can_be_read_and_rendered_again() {
    let dir = folder(&Synthetic::both_modes());
    let first = rendered(dir.path()).expect("rendered");
    let loaded = read_result(dir.path()).expect("loaded");
    assert_eq!(loaded, first);
    let again = render(dir.path(), loaded.environment, &loaded.config).expect("rendered again");
    assert_eq!(again, first);
}

#[test]
fn result_of_another_version_is_refused() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    fs::write(dir.path().join("result.json"), r#"{"schema_version": 7}"#).expect("written");
    let error = read_result(dir.path()).expect_err("unknown version");
    assert!(matches!(error, ReportError::Schema { found: 7, known: 1, .. }), "{error}");
}

#[test]
fn blocks_with_equal_settings_form_one_cell() {
    let run = Synthetic::empty()
        .with(Workload::Pingpong, WaitMode::Poll, WaitMode::Poll, 64, 10)
        .with(Workload::Pingpong, WaitMode::Irq, WaitMode::Poll, 64, 10)
        .with(Workload::Pingpong, WaitMode::Poll, WaitMode::Poll, 64, 15);
    let dir = folder(&run);
    let cells = rendered(dir.path()).expect("rendered").cells;
    let counts: Vec<(&str, u64)> = cells.iter().map(|cell| (cell.mode.as_str(), cell.n)).collect();
    assert_eq!(counts, [("poll", 25), ("irq/poll", 10)]);
    let latency = lines(dir.path(), "latency_results.csv");
    assert!(
        latency.iter().any(|line| line.starts_with("24,") && line.ends_with(",poll")),
        "iterations go on over blocks"
    );
}

#[test]
fn failed_operations_are_counted_but_excluded() {
    let mut run = Synthetic::both_modes();
    let row = run.first_row(2);
    (row.status, row.end_to_end_ns) = (Status::Timeout, Some(2_000_000_000));
    let dir = folder(&run);
    let result = rendered(dir.path()).expect("rendered");
    let cell = result.cells.iter().find(|cell| cell.workload == Workload::Frame).expect("a frame cell");
    assert_eq!((cell.n, cell.failures.get(&Status::Timeout)), (9, Some(&1)));
    assert!(cell.latency_ns.as_ref().expect("others ended ok").max < 2_000_000_000);
    assert!(lines(dir.path(), "bandwidth_results.csv")[1].ends_with(",2000000000,,timeout,false"));
}

#[test]
fn cold_frames_are_marked_and_numbered_separately() {
    let mut run = Synthetic::empty();
    for _ in 0..2 {
        run = run.with(Workload::Frame, WaitMode::Irq, WaitMode::Irq, 6_220_800, 3);
    }
    run.block(1).block.conditions.cold = true;
    let dir = folder(&run);
    rendered(dir.path()).expect("rendered");
    let frames: Vec<(String, String)> = lines(dir.path(), "bandwidth_results.csv")[1..]
        .iter()
        .map(|line| line.split(',').map(str::to_owned).collect::<Vec<_>>())
        .map(|fields| (fields[1].clone(), fields[11].clone()))
        .collect();
    let wanted = ["false", "true"].map(|cold| ["0", "1", "2"].map(|iteration| (iteration.to_owned(), cold.to_owned())));
    assert_eq!(frames, wanted.concat());
}

#[test]
fn run_without_rows_is_rendered_and_fails() {
    let mut run = Synthetic::empty();
    run.measured.aborted = Some("the guest did not come".to_owned());
    let dir = folder(&run);
    let result = rendered(dir.path()).expect("rendered");
    assert!(result.cells.is_empty() && !result.passed());
    assert_eq!(lines(dir.path(), "latency_results.csv").len(), 1);
    assert_eq!(lines(dir.path(), "bandwidth_results.csv").len(), 1);
}

#[test]
fn block_without_rows_has_a_cell_without_results() {
    let run = Synthetic::empty().with(Workload::Frame, WaitMode::Poll, WaitMode::Poll, 64, 0);
    let result = rendered(folder(&run).path()).expect("rendered");
    let cell = &result.cells[0];
    assert_eq!((cell.n, &cell.latency_ns, cell.bytes_per_second, cell.cpu.cores), (0, &None, None, None));
}

#[test]
fn single_row_is_rendered() {
    let result =
        rendered(folder(&Synthetic::empty().with(Workload::Pingpong, WaitMode::Irq, WaitMode::Irq, 64, 1)).path());
    let result = result.expect("rendered");
    assert_eq!(result.cells[0].latency_ns.as_ref().and_then(|latency| latency.p50), Some(60_010));
    assert!(result.comparisons.is_empty(), "there is nothing to compare with");
}

#[test]
fn rows_of_an_unfinished_block_warn_and_are_excluded() {
    let mut run = Synthetic::both_modes();
    run.measured.blocks.pop();
    run.measured.aborted = Some("stopped".to_owned());
    let result = rendered(folder(&run).path()).expect("rendered");
    assert_eq!(result.cells.len(), 3);
    assert!(result.warnings[0].message.contains("exclude 10 rows"), "{:?}", result.warnings);
}

#[test]
fn truncated_last_line_is_ignored_with_a_warning() {
    let dir = folder(&Synthetic::both_modes());
    let path = dir.path().join("samples.csv");
    let text = fs::read(&path).expect("written");
    // Without its line end, the last line is still a readable row, but it may be incomplete and is ignored.
    fs::write(&path, &text[..text.len() - 1]).expect("cut");
    let result = rendered(dir.path()).expect("rendered");
    assert!(result.warnings[0].message.contains("99 rows remain"), "{:?}", result.warnings);
    assert!(!result.passed(), "its record is not whole");
}

#[test]
fn truncated_header_leaves_no_rows() {
    let dir = folder(&Synthetic::empty());
    fs::write(dir.path().join("samples.csv"), "block,workl").expect("written");
    assert!(rendered(dir.path()).expect("rendered").warnings[0].message.contains("0 rows remain"));
}

#[test]
fn malformed_line_is_named() {
    let dir = folder(&Synthetic::both_modes());
    let path = dir.path().join("samples.csv");
    let text = fs::read_to_string(&path).expect("written");
    let mut all: Vec<&str> = text.lines().collect();
    all[4] = "what,is,this";
    fs::write(&path, all.join("\n") + "\n").expect("spoiled");
    let error = rendered(dir.path()).expect_err("no row").to_string();
    assert!(error.contains("samples.csv, line 5"), "{error}");

    all[4] = "0,pingpong,poll,poll,poll,x,64,,,,,,,,,,,,,,,,,,,,,ok";
    fs::write(&path, all.join("\n") + "\n").expect("spoiled");
    let error = rendered(dir.path()).expect_err("no number").to_string();
    assert!(error.contains("samples.csv, line 5"), "{error}");
}

#[test]
fn missing_or_malformed_file_is_named() {
    let dir = folder(&Synthetic::both_modes());
    fs::write(dir.path().join("measured.json"), "{\n\"guest\": 1}").expect("spoiled");
    let error = rendered(dir.path()).expect_err("no document");
    assert!(error.to_string().contains("measured.json, line 2"), "{error}");
    assert!(error.source().is_some());
    fs::remove_file(dir.path().join("measured.json")).expect("removed");
    let error = rendered(dir.path()).expect_err("no file").to_string();
    assert!(error.starts_with("cannot read") && error.ends_with("measured.json"), "{error}");
}

#[test]
fn unwritable_file_is_named_and_not_created() {
    let dir = folder(&Synthetic::both_modes());
    fs::create_dir(dir.path().join("result.json.partial")).expect("in the way");
    let error = rendered(dir.path()).expect_err("a folder is in the way").to_string();
    assert!(error.starts_with("cannot write") && error.ends_with("result.json"), "{error}");
    assert!(!dir.path().join("result.json").exists());
}

#[test]
fn inapplicable_checks_are_null_in_json() {
    let text =
        serde_json::to_string(&[CheckOutcome::Pass, CheckOutcome::Fail, CheckOutcome::NotApplicable]).expect("JSON");
    assert_eq!(text, "[true,false,null]");
}
