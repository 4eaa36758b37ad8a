//! Comparison of runs: reported differences, inconclusive cells, and regressions that exceed a limit.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use bench_model::samples::Row;
use bench_model::units::FRAME_1080P;
use bench_model::{WaitMode, Workload};
use report::evaluate::compare_runs::{Limits, RunComparison, RunFolder, compare};
use report::render;
use report::render::compare_runs::text;
use report::result::CheckOutcome;
use report::result::environment::Environment;
use report::result::metric::Metric;
use statistics::Change;
use tempfile::TempDir;

use crate::run::folder;
use crate::synthetic::Synthetic;

const TEN_PERCENT: Limits = Limits { p50: Some(0.1), p99: None };

/// Round trips of both modes in eight blocks each. `factor` scales those of polling. No two factors give the same
/// samples.
fn run(factor: f64) -> Synthetic {
    let mut run = Synthetic::empty();
    for block in 0..16 {
        let wait = if matches!(block % 4, 0 | 3) { WaitMode::Poll } else { WaitMode::Irq };
        run = run.with(Workload::Pingpong, wait, wait, 64, 250);
    }
    for (position, row) in run.rows.iter_mut().enumerate() {
        let scattered = (position as u64 * 7_919 + 13) % 100;
        let slow = if row.host_wait == WaitMode::Poll { factor } else { 1.0 };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few microseconds")]
        let rtt_ns = ((10_000 + scattered) as f64 * slow) as u64;
        takes(row, rtt_ns);
    }
    run
}

/// Sets the round trip of an operation, with equal latencies in both directions.
fn takes(row: &mut Row, rtt_ns: u64) {
    let (there, sent) = (rtt_ns / 2, row.h2_ns.expect("sent"));
    let back = Some((rtt_ns - there).cast_signed());
    row.rtt_ns = Some(rtt_ns);
    (row.g0_ns, row.inject_ns, row.wake_ns) = (None, None, None);
    (row.g1_ns, row.g2_ns, row.g5_ns) = (Some(sent + there), None, Some(sent + there));
    (row.h4_ns, row.h5_ns) = (Some(sent + rtt_ns), Some(sent + rtt_ns));
    (row.notify_ns, row.ack_ns, row.answer_ns) = (Some(there.cast_signed()), back, back);
}

fn saved_as(run: &Synthetic, environment: Environment, config: &serde_json::Value) -> TempDir {
    let dir = folder(run);
    render(dir.path(), environment, config).expect("rendered");
    dir
}

fn saved_on(run: &Synthetic, environment: Environment) -> TempDir {
    saved_as(run, environment, &serde_json::json!({"seed": 1}))
}

fn saved(run: &Synthetic) -> TempDir {
    saved_on(run, Environment { accel: "tcg".into(), ..Environment::default() })
}

fn across(dirs: &[&Path], limits: Option<&Limits>) -> RunComparison {
    let runs: Vec<RunFolder> = dirs.iter().map(|dir| RunFolder::open(dir).expect("a run")).collect();
    compare(&runs, limits)
}

fn of(base: &Synthetic, this: &Synthetic, limits: Limits) -> RunComparison {
    let (base, this) = (saved(base), saved(this));
    across(&[base.path(), this.path()], Some(&limits))
}

/// The text without its line breaks.
fn words(across: &RunComparison) -> String {
    text(across).split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn run_compared_with_itself_has_no_differences() {
    let mut run = run(1.0)
        .with(Workload::Frame, WaitMode::Poll, WaitMode::Poll, FRAME_1080P, 4)
        .with_storm(100)
        .with_stream(64, 50)
        .with(Workload::Idle, WaitMode::Poll, WaitMode::Poll, 64, 0);
    run.measured.blocks.last_mut().expect("just added").wall_ns = 3_000_000_000;
    let dir = saved(&run);
    let across = across(&[dir.path(), dir.path()], Some(&TEN_PERCENT));
    let against = &across.comparisons[0];
    assert_eq!(against.cells.len(), 6);
    assert!(against.identical);
    for cell in &against.cells {
        let known = (cell.ratio, cell.word, cell.unknown_because, cell.identical);
        assert_eq!(known, (Some(1.0), Change::NotSignificant, None, true), "{:?}", cell.name);
        assert!([None, Some(1.0)].contains(&cell.cpu_per_op_ratio), "{:?}", cell.name);
    }
    assert!(across.differences.is_empty());
    assert!(across.gate.as_ref().is_some_and(|gate| gate.passed && gate.too_noisy == 0 && gate.not_judged.is_empty()));
    let text = text(&across);
    assert_eq!(text.matches("not significant").count(), 6, "{text}");
    assert!(text.contains("the same samples"), "{text}");
}

#[test]
fn significant_slowdown_fails_and_speedup_passes() {
    let slower = of(&run(1.0), &run(1.2), TEN_PERCENT);
    let words: Vec<(String, Change)> =
        slower.comparisons[0].cells.iter().map(|cell| (cell.name.mode(), cell.word)).collect();
    assert_eq!(words, [("poll".to_owned(), Change::Slower), ("irq".to_owned(), Change::NotSignificant)]);
    let cell = &slower.comparisons[0].cells[0];
    assert!((cell.ratio.expect("a ratio") - 1.2).abs() < 0.001, "{cell:?}");
    let interval = cell.interval.expect("an interval");
    assert!(interval.low > 1.19 && interval.high < 1.21, "{interval:?}");
    let gate = slower.gate.expect("a limit was set");
    assert!(!gate.passed);
    let broken: Vec<(usize, String, &str)> =
        gate.regressions.iter().map(|regression| (regression.run, regression.cell.mode(), regression.figure)).collect();
    assert_eq!(broken, [(1, "poll".to_owned(), "p50")]);
    assert!(gate.reasons[0].contains("pingpong 64B poll: p50 is 1.20 times"), "{:?}", gate.reasons);

    let faster = of(&run(1.2), &run(1.0), TEN_PERCENT);
    assert_eq!(faster.comparisons[0].cells[0].word, Change::Faster);
    assert!(faster.gate.expect("a limit was set").passed);
}

#[test]
fn significant_slowdown_within_the_limit_passes() {
    let across = of(&run(1.0), &run(1.05), TEN_PERCENT);
    assert_eq!(across.comparisons[0].cells[0].word, Change::Slower);
    assert!(across.gate.as_ref().is_some_and(|gate| gate.passed && gate.judged == 2), "{:?}", across.gate);
}

#[test]
fn noisy_slowdown_passes_and_counts_as_too_noisy() {
    // Half of the polling blocks and a quarter of the others are twice as slow, which widens the intervals of the
    // medians.
    let mut noisy = run(1.0);
    for row in noisy.rows.iter_mut().filter(|row| row.block % 3 == 0) {
        takes(row, 2 * row.rtt_ns.expect("acknowledged"));
    }
    let across = of(&run(1.0), &noisy, TEN_PERCENT);
    let gate = across.gate.expect("a limit was set");
    assert!(gate.passed, "{:?}", gate.reasons);
    assert_eq!((gate.judged, gate.too_noisy), (2, 2));
}

#[test]
fn p99_limit_applies_only_if_requested() {
    // Every 50th round trip is five times as long. The median does not change.
    let mut long_tail = run(1.0);
    for row in long_tail.rows.iter_mut().step_by(50) {
        takes(row, 5 * row.rtt_ns.expect("acknowledged"));
    }
    let p99 = Limits { p50: Some(0.1), p99: Some(0.5) };
    let passed = of(&run(1.0), &long_tail, TEN_PERCENT);
    assert!(
        words(&passed).contains("passed: no p50 is significantly slower by more than 10 % ("),
        "{}",
        words(&passed)
    );
    let gate = of(&run(1.0), &long_tail, p99).gate.expect("a limit");
    assert!(!gate.passed);
    assert!(gate.regressions.iter().all(|regression| regression.figure == "p99") && !gate.regressions.is_empty());
}

/// Paced messages of both modes in four blocks each, with round trips of 10 µs, sent `late_ns` after their scheduled
/// send time.
fn paced(late_ns: u64) -> Synthetic {
    let mut run = Synthetic::empty();
    for block in 0..8 {
        let wait = if matches!(block % 4, 0 | 3) { WaitMode::Poll } else { WaitMode::Irq };
        run = run.with(Workload::Paced, wait, wait, 64, 250);
        run.block(block).block.conditions.gap_ns = Some(2_000_000);
    }
    for (position, row) in run.rows.iter_mut().enumerate() {
        let rtt_ns = 10_000 + (position as u64 * 7_919 + 13) % 100;
        (row.rtt_ns, row.corrected_ns) = (Some(rtt_ns), Some(rtt_ns + late_ns));
    }
    run
}

#[test]
fn paced_messages_compare_corrected_latency() {
    let later = of(&paced(1_000), &paced(10_000), TEN_PERCENT);
    for cell in &later.comparisons[0].cells {
        assert_eq!((cell.figure, cell.word), (Metric::CorrectedLatency, Change::Slower), "{cell:?}");
        // 20 µs over 11 µs. The round trips are equal.
        assert!((cell.ratio.expect("a ratio") - 20.0 / 11.0).abs() < 0.01, "{cell:?}");
    }
    let text = text(&later);
    assert!(text.contains("messages, corrected latency:") && !text.contains("round trips:"), "{text}");
    assert_eq!(later.gate.expect("a limit").regressions.len(), 2);
}

#[test]
fn missing_corrected_latency_falls_back_to_round_trips() {
    let mut silent = paced(1_000);
    silent.rows.iter_mut().for_each(|row| row.corrected_ns = None);
    let across = of(&paced(1_000), &silent, TEN_PERCENT);
    for cell in &across.comparisons[0].cells {
        assert_eq!((cell.figure, cell.ratio), (Metric::Latency, Some(1.0)), "{cell:?}");
    }
    assert!(text(&across).contains("messages, round trips:"));
}

/// A stream in `blocks` blocks. `factor` scales the time per message, which varies slightly between blocks.
fn stream(blocks: u64, factor: f64) -> Synthetic {
    let mut run = Synthetic::empty();
    for block in 0..blocks {
        run = run.with_stream(4_096, 10_000);
        let traffic = run.measured.blocks.last_mut().and_then(|block| block.traffic.as_mut()).expect("a stream");
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "half a second")]
        let span_ns = ((500_000_000 + block % 3 * 1_000_000) as f64 * factor) as u64;
        traffic.span_ns = span_ns;
    }
    run
}

#[test]
fn slower_stream_needs_four_blocks_to_fail_the_limit() {
    for blocks in [4, 7] {
        let slower = of(&stream(blocks, 1.0), &stream(blocks, 1.3), TEN_PERCENT);
        let cell = &slower.comparisons[0].cells[0];
        assert_eq!((cell.figure, cell.word), (Metric::TimePerMessage, Change::Slower), "{blocks}: {cell:?}");
        assert!(cell.noise_floor.is_some_and(|floor| floor < 1.05), "{cell:?}");
        assert_eq!(slower.gate.expect("a limit").regressions.len(), 1);
        let same = of(&stream(blocks, 1.0), &stream(blocks, 1.001), TEN_PERCENT);
        assert_eq!(same.comparisons[0].cells[0].word, Change::NotSignificant);
    }
    for blocks in [1, 3] {
        let across = of(&stream(blocks, 1.0), &stream(blocks, 1.3), TEN_PERCENT);
        let gate = across.gate.as_ref().expect("a limit");
        let named: Vec<&str> = gate.not_judged.iter().map(|entry| entry.cell.workload.name()).collect();
        assert_eq!((gate.judged, named), (0, vec!["stream"]), "{blocks}");
        let text = words(&across);
        assert!(
            text.contains("p50 inconclusive, too few blocks: ")
                && text.contains("measure more blocks: stream 4KiB poll"),
            "{text}"
        );
    }
}

#[test]
fn ratio_weights_messages_equally_not_blocks() {
    // Both runs stall in two blocks, which complete few messages. This run is twice as fast in all other blocks.
    let stuck = |factor: f64| {
        let mut run = stream(8, factor);
        for index in [2, 5] {
            let block = run.block(index);
            let traffic = block.traffic.as_mut().expect("a stream");
            (traffic.sent, traffic.seen, block.operations, block.bytes_verified) = (100, 100, 100, 100 * 4_096);
            block.cpu.host_ns = 500_000_000;
        }
        run
    };
    let mut base = stuck(1.0);
    for block in &mut base.measured.blocks {
        block.cpu.host_ns = block.cpu.host_ns.max(1_000_000);
    }
    let mut this = base.clone();
    for block in this.measured.blocks.iter_mut().filter(|block| block.operations > 100) {
        block.traffic.as_mut().expect("a stream").seen *= 2;
        block.operations *= 2;
    }
    let across = of(&base, &this, TEN_PERCENT);
    let cell = &across.comparisons[0].cells[0];
    let is_within = |ratio: Option<f64>, interval: Option<statistics::Interval<f64>>| {
        ratio.zip(interval).is_some_and(|(ratio, all)| all.low <= ratio && ratio <= all.high)
    };
    // 60,200 messages against 120,200 in the same time. Each block's own time per message would give 0.99.
    assert!((cell.ratio.expect("a ratio") - 60_200.0 / 120_200.0).abs() < 1e-9, "{cell:?}");
    assert!(is_within(cell.ratio, cell.interval), "{cell:?}");
    assert!(is_within(cell.cpu_per_op_ratio, cell.cpu_per_op_interval), "{cell:?}");
}

#[test]
fn every_cell_is_evaluated_or_named_once_per_limit() {
    let base = run(1.0).and(stream(4, 1.0)).with(Workload::Idle, WaitMode::Poll, WaitMode::Poll, 64, 0);
    let this = run(1.0).and(paced(0)).with(Workload::Idle, WaitMode::Irq, WaitMode::Irq, 64, 0);
    let both = Limits { p50: Some(0.1), p99: Some(0.5) };
    let (base, this) = (saved(&base), saved(&this));
    for (limits, expected) in [(TEN_PERCENT, (2, 3)), (both, (4, 5))] {
        let gate = across(&[base.path(), this.path()], Some(&limits)).gate.expect("a limit");
        // Two cells are common to both runs. The stream has no p99. No limit applies to idle cells.
        assert_eq!((gate.judged, gate.not_judged.len()), expected, "{:?}", gate.not_judged);
        assert!(gate.not_judged.iter().all(|entry| entry.because.starts_with("only ")), "{:?}", gate.not_judged);
    }
}

#[test]
fn unrecorded_fields_of_earlier_versions_do_not_differ() {
    let (base, this) = (saved(&run(1.0)), saved(&run(1.0)));
    let path = base.path().join("result.json");
    let mut document: serde_json::Value = serde_json::from_slice(&fs::read(&path).expect("there")).expect("JSON");
    let environment = document["environment"].as_object_mut().expect("an object");
    // As in a document of an earlier version.
    for field in ["vectors", "accel"] {
        environment.remove(field).expect("a field");
    }
    fs::write(&path, document.to_string()).expect("written");
    let across = across(&[base.path(), this.path()], None);
    assert_eq!(across.differences, []);
    let missing: Vec<(&str, &[usize])> =
        across.not_recorded.iter().map(|missing| (missing.field.as_str(), &missing.runs[..])).collect();
    assert_eq!(missing, [("accel", &[0][..]), ("vectors", &[0][..])]);
    assert!(
        text(&across).contains("not recorded by the baseline, so not compared: accel, vectors"),
        "{}",
        text(&across)
    );
}

#[test]
fn gate_without_comparable_cells_fails() {
    let frames = Synthetic::empty().with(Workload::Frame, WaitMode::Poll, WaitMode::Poll, FRAME_1080P, 10);
    let nothing_common = of(&run(1.0), &frames, TEN_PERCENT);
    let gate = nothing_common.gate.as_ref().expect("a limit");
    assert!(!gate.passed && gate.reasons[0].contains("no cell in common"), "{:?}", gate.reasons);
    assert_eq!(nothing_common.comparisons[0].only_in_run.len(), 1);
    assert_eq!(nothing_common.comparisons[0].only_in_baseline.len(), 2);
    assert!(text(&nothing_common).contains("only this run has: frame 1080p poll"));

    let mut slower = frames.clone();
    slower.rows.iter_mut().for_each(|row| row.end_to_end_ns = row.end_to_end_ns.map(|ns| ns * 2));
    let one_block = of(&frames, &slower, TEN_PERCENT);
    let cell = &one_block.comparisons[0].cells[0];
    assert_eq!(cell.word, Change::Inconclusive);
    assert!(cell.unknown_because.is_some_and(|why| why.starts_with("too few samples")), "{cell:?}");
    let text = words(&one_block);
    assert!(text.contains("p50 inconclusive, too few samples (use --full): frame 1080p poll"), "{text}");
    let gate = one_block.gate.expect("a limit");
    let is_listed = gate.reasons.iter().any(|reason| reason.contains("could be compared"));
    assert!(!gate.passed && gate.judged == 0 && is_listed, "{:?}", gate.reasons);
}

#[test]
fn failed_checks_are_reported_first_and_fail_the_gate() {
    let mut failed = run(1.0);
    failed.block(0).counters.stale_acks = 3;
    let across = of(&run(1.0), &failed, TEN_PERCENT);
    assert_eq!(across.runs[1].failed_checks.iter().map(|check| check.pass).collect::<Vec<_>>(), [CheckOutcome::Fail]);
    assert!(text(&across).starts_with("not trustworthy: "), "{}", text(&across));
    let gate = across.gate.expect("a limit");
    assert!(!gate.passed && gate.reasons[0].contains("not trustworthy"), "{:?}", gate.reasons);
}

#[test]
fn environment_differences_have_both_values() {
    let environment = |accel: &str, load: f64| {
        let mut environment =
            Environment { accel: accel.into(), host_kernel: Some("6.1".into()), ..Environment::default() };
        environment.load.load_average = Some(load);
        environment
    };
    let (base, this) = (saved_on(&run(1.0), environment("tcg", 0.1)), saved_on(&run(1.0), environment("kvm", 2.5)));
    let across = across(&[base.path(), this.path()], None);
    let fields: Vec<&str> = across.differences.iter().map(|difference| difference.field.as_str()).collect();
    assert_eq!(fields, ["accel", "load_average"]);
    let text = text(&across);
    let (differences, cells) = (text.find("accel").expect("listed"), text.find("pingpong").expect("listed"));
    assert!(differences < cells, "{text}");
    assert!(text.contains("kvm") && text.contains("2.5"), "{text}");
    assert!(across.gate.is_none());
}

#[test]
fn setting_differences_omit_fields_of_the_environment() {
    let tcg = || Environment { accel: "tcg".into(), ..Environment::default() };
    let settings = |seed: u32, driver: &str| serde_json::json!({"seed": seed, "driver": driver, "gap_ns": 2});
    let (base, this) = (
        saved_as(&run(1.0), tcg(), &settings(1, "uio_pci_msix")),
        saved_as(&run(1.0), tcg(), &settings(7, "vfio_pci")),
    );
    let across = across(&[base.path(), this.path(), base.path()], None);
    let values: Vec<(&str, [String; 3])> =
        across.differences.iter().map(|entry| (entry.field.as_str(), [0, 1, 2].map(|run| entry.shown(run)))).collect();
    assert_eq!(values, [("config.seed", ["1", "7", "1"].map(str::to_owned))]);
}

#[test]
fn memory_type_is_not_compared_under_emulation() {
    let on = |accel: &str, cached| {
        let environment = Environment { accel: accel.into(), bar2_cached: Some(cached), ..Environment::default() };
        saved_on(&run(1.0), environment)
    };
    let fields = |accel| {
        let (base, this) = (on(accel, true), on(accel, false));
        let across = across(&[base.path(), this.path()], None);
        across.differences.into_iter().map(|difference| difference.field).collect::<Vec<_>>()
    };
    assert_eq!(fields("kvm"), ["bar2_cached"]);
    assert_eq!(fields("tcg"), [""; 0]);
}

#[test]
fn lines_fit_a_terminal_without_control_characters() {
    let hostile = Environment {
        accel: "tcg".into(),
        guest_kernel: Some("6.1\u{1b}[2J<script>".into()),
        host_kernel: Some("long ".repeat(60)),
        ..Environment::default()
    };
    let run = run(1.0).with(Workload::Frame, WaitMode::Hybrid, WaitMode::Poll, FRAME_1080P, 10).with(
        Workload::Contention,
        WaitMode::Hybrid,
        WaitMode::Irq,
        64,
        10,
    );
    let (base, this) = (saved(&run), saved_on(&run, hostile));
    let text = text(&across(&[base.path(), this.path(), base.path()], Some(&TEN_PERCENT)));
    assert!(!text.contains('\u{1b}'));
    let widest = text.lines().max_by_key(|line| line.chars().count()).expect("lines");
    // A path is never broken, whatever its length.
    assert!(widest.chars().count() <= 101, "{widest}");
}

#[test]
fn directory_without_a_run_has_a_hint() {
    let root = tempfile::tempdir().expect("a directory");
    let message = |path: &Path| RunFolder::open(path).expect_err("no run").to_string();
    assert!(message(&root.path().join("missing")).contains("no such directory"));
    assert!(message(root.path()).contains("cargo xtask bench"));

    let run = saved(&run(1.0));
    assert!(message(&run.path().join("result.json")).contains("name the directory that it is in"));
    let latest = root.path().join("latest");
    symlink(run.path(), &latest).expect("linked");
    assert!(RunFolder::open(&latest).is_ok(), "a link to a run is the run");
    assert!(message(root.path()).contains(&format!("name one of them: {}", latest.display())));

    fs::remove_file(run.path().join("samples.csv")).expect("removed");
    assert!(message(run.path()).contains("result.json, measured.json and samples.csv"));
    fs::remove_file(run.path().join("result.json")).expect("removed");
    assert!(message(run.path()).contains("cargo xtask report"));
}

#[test]
fn json_contains_the_comparison_and_the_gate() {
    let across = of(&run(1.0), &run(1.2), TEN_PERCENT);
    let document = serde_json::to_value(&across).expect("JSON");
    assert_eq!(document["schema_version"], 2);
    assert_eq!(document["runs"].as_array().map(Vec::len), Some(2));
    let cell = &document["comparisons"][0]["cells"][0];
    assert_eq!(
        (&cell["workload"], &cell["mode"], &cell["word"]),
        (&"pingpong".into(), &"poll".into(), &"slower".into())
    );
    assert_eq!(cell["figure"], "latency");
    assert_eq!(document["gate"]["passed"], false);
    assert_eq!(document["gate"]["regressions"][0]["cell"]["mode"], "poll");
}
