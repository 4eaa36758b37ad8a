//! Rendering a folder again: identical files if it is complete, otherwise the finished part of the run.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use bench_model::journal::Entry;
use bench_model::raw::RawRun;
use bench_model::samples::{COLUMNS, Status};
use bench_model::{WaitMode, Workload};
use report::result::environment::Environment;
use report::{ReportError, Rerendered, render_ended, rerender};

use crate::run::{folder, rendered};
use crate::synthetic::Synthetic;

/// Name and content of every file, plots included.
fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("an entry")) {
        let name = entry.file_name().into_string().expect("a name");
        if entry.path().is_dir() {
            let below = self::files(&entry.path());
            files.extend(below.into_iter().map(|(below, content)| (format!("{name}/{below}"), content)));
        } else {
            files.insert(name, fs::read(entry.path()).expect("a file"));
        }
    }
    files
}

fn page(dir: &Path) -> String {
    fs::read_to_string(dir.join("report.html")).expect("written")
}

/// The list of missing data in the text report. The HTML report must have one, too.
fn missing_part(dir: &Path) -> String {
    let text = fs::read_to_string(dir.join("performance_report.txt")).expect("written");
    let (_, missing) = text.split_once("Missing\n-------\n").expect("something is missing");
    let missing = missing.split_once("\n\n").map_or(missing, |(missing, _)| missing);
    assert!(page(dir).contains("id=\"missing\">Missing"));
    missing.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn missing_sample_rows_are_reported() {
    let run = Synthetic::both_modes();
    let dir = folder(&run);
    let samples = dir.path().join("samples.csv");
    let text = fs::read_to_string(&samples).expect("there");
    let lines: Vec<&str> = text.lines().collect();
    fs::write(&samples, lines[..lines.len() - 1].join("\n") + "\n").expect("written");
    rendered(dir.path()).expect("rendered");
    assert!(missing_part(dir.path()).contains("samples.csv lacks rows of 1 measured block"));
    fs::remove_file(&samples).expect("removed");
    rendered(dir.path()).expect_err("nothing to read");
    rerender(dir.path()).expect("rendered as far as it goes");
    let missing = missing_part(dir.path());
    assert!(
        missing.contains(&format!("samples.csv lacks rows of {} measured blocks", run.measured.blocks.len())),
        "{missing}"
    );
}

#[test]
fn rerendering_is_byte_identical() {
    let dir = folder(&Synthetic::both_modes().with_storm(100).with_stream(4_096, 10));
    fs::write(dir.path().join("plan.json"), r#"{"blocks": [{}, {}, {}, {}, {}, {}]}"#).expect("written");
    rendered(dir.path()).expect("rendered");
    let first = files(dir.path());
    assert!(first.len() >= 8 && first.contains_key("plots/latency_percentiles.svg"), "{:?}", first.keys());
    rerender(dir.path()).expect("rendered again");
    let again = files(dir.path());
    assert_eq!(again.keys().collect::<Vec<_>>(), first.keys().collect::<Vec<_>>());
    for (name, content) in &first {
        assert_eq!(again.get(name), Some(content), "{name}");
    }
    let text = String::from_utf8(first["performance_report.txt"].clone()).expect("text");
    assert!(!text.contains("\nMissing\n"), "a whole run has nothing missing: {text}");
}

#[test]
fn incomplete_run_reports_missing_data_repeatably() {
    let mut run = Synthetic::both_modes();
    run.measured.blocks.pop();
    let dir = folder(&run);
    fs::write(dir.path().join("plan.json"), r#"{"blocks": [{}, {}, {}, {}]}"#).expect("written");
    let Rerendered { result, .. } = rerender(dir.path()).expect("rendered");
    assert_eq!((result.cells.len(), result.passed()), (3, false));
    let missing = missing_part(dir.path());
    assert!(missing.contains("3 of 4 planned blocks were measured"), "{missing}");
    assert!(missing.contains("the environment was not recorded"), "{missing}");
    assert!(missing.contains("10 rows of an unfinished block"), "{missing}");
    let first = files(dir.path());
    rerender(dir.path()).expect("rendered again");
    assert!(files(dir.path()) == first, "the second time nothing changes");
}

#[test]
fn plan_alone_is_rendered_without_results() {
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join("plan.json"), r#"{"blocks": [{}, {}]}"#).expect("written");
    let Rerendered { result, .. } = rerender(dir.path()).expect("rendered");
    assert!(result.cells.is_empty() && !result.passed());
    let missing = missing_part(dir.path());
    assert!(missing.contains("killed before it wrote measured.json"), "{missing}");
    assert!(missing.contains("0 of 2 planned blocks"), "{missing}");
    assert!(page(dir.path()).contains("No results: the initiator was killed"));
}

#[test]
fn unfinished_samples_are_counted_but_excluded() {
    let dir = folder(&Synthetic::both_modes());
    fs::remove_file(dir.path().join("measured.json")).expect("removed");
    fs::write(dir.path().join("plan.json"), r#"{"blocks": [{}, {}, {}, {}]}"#).expect("written");
    rerender(dir.path()).expect("rendered");
    assert!(missing_part(dir.path()).contains("100 rows of an unfinished block are excluded from the results"));
}

/// The lines that a killed initiator leaves: facts, peak bandwidths, and the first `blocks` blocks.
fn lines(run: &Synthetic, blocks: usize) -> Vec<u8> {
    let facts = RawRun { blocks: Vec::new(), ..run.measured.clone() };
    let finished = run.measured.blocks.iter().take(blocks).map(|block| Entry::Block(Cow::Borrowed(block)));
    let entries = std::iter::once(Entry::Run(Cow::Owned(facts))).chain(finished);
    entries.flat_map(|entry| entry.to_line().expect("JSON")).collect()
}

#[test]
fn finished_blocks_of_a_killed_initiator_are_rendered() {
    let run = Synthetic::both_modes();
    let dir = folder(&run);
    fs::remove_file(dir.path().join("measured.json")).expect("removed");
    let mut lines = lines(&run, 3);
    lines.extend_from_slice(b"{\"block\": {\"half");
    fs::write(dir.path().join("measured.jsonl"), lines).expect("written");
    fs::write(dir.path().join("plan.json"), r#"{"blocks": [{}, {}, {}, {}]}"#).expect("written");
    let Rerendered { result, .. } = rerender(dir.path()).expect("rendered");
    assert_eq!((result.cells.len(), result.passed()), (3, false));
    let missing = missing_part(dir.path());
    assert!(missing.contains("the initiator ended before it could write measured.json"), "{missing}");
    assert!(missing.contains("3 of 4 planned blocks were measured"), "{missing}");
    assert!(missing.contains("10 rows of an unfinished block"), "{missing}");
}

#[test]
fn run_that_ended_early_is_rendered_with_its_cause() {
    let run = Synthetic::both_modes();
    let dir = folder(&run);
    fs::remove_file(dir.path().join("measured.json")).expect("removed");
    fs::write(dir.path().join("measured.jsonl"), lines(&run, 2)).expect("written");
    let reason = "host-peer was killed by signal 9 (SIGKILL)";
    let ended = render_ended(dir.path(), Environment::default(), &"config", reason).expect("rendered");
    assert!(ended.unwritten.is_none(), "{:?}", ended.unwritten);
    let check = ended.result.self_checks.iter().find(|check| check.id == 15).expect("15");
    assert!(check.detail.starts_with(reason), "{}", check.detail);
    assert_eq!(ended.result.cells.len(), 2);
    let again = rerender(dir.path()).expect("rendered again").result;
    assert_eq!(again.self_checks, ended.result.self_checks, "the directory keeps the cause");
    assert!(page(dir.path()).contains(reason));
}

#[test]
fn run_that_ended_before_it_measured_is_rendered_with_its_cause() {
    let dir = tempfile::tempdir().expect("a directory");
    let ended = render_ended(dir.path(), Environment::default(), &"config", "killed in boot").expect("rendered");
    assert!(ended.unwritten.is_none() && ended.result.cells.is_empty() && !ended.result.passed());
    assert!(page(dir.path()).contains("killed in boot"));
}

#[test]
fn report_that_cannot_be_written_still_has_a_result() {
    let run = Synthetic::both_modes();
    let dir = folder(&run);
    // Rendering cannot create the directory of plots in a read-only directory.
    let read_only = |mode| fs::set_permissions(dir.path(), fs::Permissions::from_mode(mode)).expect("set");
    read_only(0o500);
    let is_root = fs::write(dir.path().join("probe"), "").is_ok();
    let ended = render_ended(dir.path(), Environment::default(), &"config", "no space left").expect("evaluated");
    read_only(0o700);
    assert_eq!(ended.result.cells.len(), 4);
    assert_eq!(ended.unwritten.is_some(), !is_root, "{:?}", ended.unwritten);
}

#[test]
fn directory_without_a_run_is_refused_with_a_hint() {
    let dir = tempfile::tempdir().expect("a directory");
    let error = rerender(&dir.path().join("nowhere")).expect_err("no directory");
    assert!(matches!(error, ReportError::NoFolder { .. }), "{error}");
    fs::write(dir.path().join("notes.txt"), "").expect("written");
    let error = rerender(dir.path()).expect_err("no run");
    assert!(matches!(error, ReportError::NotARun { .. }) && error.to_string().contains("cargo xtask bench"), "{error}");
    assert_eq!(files(dir.path()).len(), 1, "nothing is written into a directory that is not ours");
}

/// Four cells without plots, which makes rendering fast.
fn plain() -> Synthetic {
    let idle = |run: Synthetic, (host, guest)| run.with(Workload::Idle, host, guest, 64, 0);
    let waits = [WaitMode::Poll, WaitMode::Irq]
        .into_iter()
        .flat_map(|host| [WaitMode::Poll, WaitMode::Irq].map(|guest| (host, guest)));
    waits.fold(Synthetic::empty(), idle)
}

#[test]
fn empty_sample_table_gets_its_header() {
    let dir = folder(&Synthetic::empty());
    let samples = dir.path().join("samples.csv");
    fs::write(&samples, "").expect("written");
    rerender(dir.path()).expect("rendered");
    assert_eq!(fs::read_to_string(&samples).expect("read"), COLUMNS.join(",") + "\n");
}

#[test]
fn damaged_result_is_rebuilt_and_kept() {
    let dir = folder(&plain());
    rendered(dir.path()).expect("rendered");
    let first = files(dir.path());
    let whole = first["result.json"].clone();
    let mut was_kept = Vec::new();
    for tenth in 0..10 {
        let damaged = &whole[..whole.len() * tenth / 10];
        fs::write(dir.path().join("result.json"), damaged).expect("written");
        let warning = rerender(dir.path()).expect("rendered").repaired.expect("something was repaired");
        assert!(warning.message.contains("result.json was damaged at line "), "{warning:?}");
        let mut again = files(dir.path());
        assert_eq!(again.remove("result.json.damaged").as_deref(), Some(damaged));
        // Environment and configuration come first, so damage after them loses nothing.
        let is_whole = again == first;
        assert_eq!(warning.message.contains("environment and configuration were kept"), is_whole, "{warning:?}");
        let is_marked = page(dir.path()).contains("the environment was not recorded");
        assert!(is_whole || is_marked || warning.message.contains("lost"), "{tenth}: {warning:?}");
        was_kept.push(is_whole);
    }
    assert!(was_kept[9] && !was_kept[0] && was_kept.is_sorted(), "{was_kept:?}");
    assert_eq!(rerender(dir.path()).expect("rendered").repaired, None, "it is whole again");
}

#[test]
fn damaged_result_of_another_version_is_not_rebuilt() {
    let dir = folder(&Synthetic::both_modes());
    fs::write(dir.path().join("result.json"), r#"{"schema_version": 7, "environment": {"#).expect("written");
    let error = rerender(dir.path()).expect_err("newer");
    assert!(matches!(error, ReportError::Schema { found: 7, .. }), "{error}");
    assert!(!dir.path().join("report.html").exists());
}

#[test]
fn damaged_raw_run_falls_back_to_the_journal() {
    let dir = folder(&plain());
    rendered(dir.path()).expect("rendered");
    let whole = fs::read_to_string(dir.path().join("measured.json")).expect("there");
    fs::write(dir.path().join("measured.json"), &whole[..whole.len() / 2]).expect("damaged");
    let error = rerender(dir.path()).expect_err("no journal").to_string();
    assert!(
        error.contains("measured.json, line ") && error.contains("the file ends too early; copy it again"),
        "{error}"
    );

    let mut lines = lines(&plain(), usize::MAX);
    lines.extend(Entry::End(None).to_line().expect("JSON"));
    fs::write(dir.path().join("measured.jsonl"), lines).expect("written");
    let Rerendered { result, repaired, .. } = rerender(dir.path()).expect("rendered");
    assert_eq!((result.cells.len(), repaired), (4, None));
}

#[test]
fn non_regular_files_are_refused_before_writing() {
    for name in ["result.json", "measured.json", "samples.csv"] {
        let dir = folder(&plain());
        fs::write(dir.path().join("plan.json"), "{}").expect("written");
        let path = dir.path().join(name);
        let _ = fs::remove_file(&path);
        fs::create_dir(&path).expect("created");
        let error = rerender(dir.path()).expect_err("a directory").to_string();
        // The document is written, too, and not only read.
        let reason = if name == "result.json" {
            "is not a regular file; refusing to replace it"
        } else {
            "is not a regular file; restore"
        };
        assert!(error.contains(&format!("{name} {reason}")), "{error}");
        assert!(!dir.path().join("report.html").exists());
    }
}

#[test]
fn malformed_row_is_named_and_can_be_removed() {
    let dir = folder(&Synthetic::both_modes());
    let path = dir.path().join("samples.csv");
    let whole = fs::read_to_string(&path).expect("there");
    let mut lines: Vec<&str> = whole.lines().collect();
    let byte: usize = lines[..5].iter().map(|line| line.len() + 1).sum();
    lines[5] = "0,pingpong,nonsense";
    fs::write(&path, lines.join("\n") + "\n").expect("written");
    let error = rerender(dir.path()).expect_err("no row").to_string();
    assert!(error.contains(&format!("samples.csv, line 6, byte {byte}: not a row of samples")), "{error}");
    lines.remove(5);
    fs::write(&path, lines.join("\n") + "\n").expect("written");
    rerender(dir.path()).expect("rendered");
    assert!(missing_part(dir.path()).contains("samples.csv lacks rows of 1 measured block"));
}

#[test]
fn single_mode_reports_that_there_is_no_comparison() {
    let dir = folder(&Synthetic::empty().with(Workload::Pingpong, WaitMode::Irq, WaitMode::Irq, 64, 20));
    rendered(dir.path()).expect("rendered");
    let missing = missing_part(dir.path());
    assert!(missing.contains("only irq was measured, so there is no comparison"), "{missing}");
    assert!(!page(dir.path()).contains("id=\"comparisons\""));
}

#[test]
fn run_without_polling_reports_the_missing_baseline() {
    let run = Synthetic::empty().with(Workload::Pingpong, WaitMode::Irq, WaitMode::Irq, 64, 20);
    let dir = folder(&run.with(Workload::Pingpong, WaitMode::Hybrid, WaitMode::Hybrid, 64, 20));
    rendered(dir.path()).expect("rendered");
    assert!(missing_part(dir.path()).contains("poll, the baseline of all comparisons, was not measured"));
}

#[test]
fn single_sample_has_a_median_but_no_tail_percentiles() {
    let dir = folder(&Synthetic::empty().with(Workload::Pingpong, WaitMode::Irq, WaitMode::Irq, 64, 1));
    rendered(dir.path()).expect("rendered");
    let names = crate::render::html_parser::heads(&page(dir.path()), "table-percentiles-pingpong");
    assert_eq!(names, ["case", "mode", "p50", "max"]);
}

#[test]
fn cell_with_only_failures_counts_them_without_results() {
    let mut run = Synthetic::both_modes();
    for row in run.rows.iter_mut().filter(|row| row.block == 2) {
        row.status = Status::Timeout;
    }
    let dir = folder(&run);
    rendered(dir.path()).expect("rendered");
    let rows = crate::render::html_parser::table(&page(dir.path()), "table-frames");
    let poll = rows.iter().find(|row| row[1] == "poll").expect("its row");
    assert_eq!(poll[2..6], ["0", "10", "0", "–"]);
}
