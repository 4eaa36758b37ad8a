//! Runs beside each other: what is claimed, what is not, and what shuts the gate.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use report::across::{Across, Limits, RunFolder, compare, text};
use report::environment::Environment;
use report::frame_size::FRAME_1080P;
use report::plan::{Wait, Workload};
use report::render;
use report::result::Verdict;
use report::stats::Word;
use tempfile::TempDir;

use crate::render::folder;
use crate::synthetic::Synthetic;

const TEN_PERCENT: Limits = Limits { p50: Some(0.1), p99: None };

/// Round trips of both modes in eight blocks each, polling slower by a factor. No two factors give the same samples.
fn run(factor: f64) -> Synthetic {
    let mut run = Synthetic::empty();
    for block in 0..16 {
        let wait = if matches!(block % 4, 0 | 3) { Wait::Poll } else { Wait::Irq };
        run = run.with(Workload::Pingpong, wait, wait, 64, 250);
    }
    for (position, row) in run.rows.iter_mut().enumerate() {
        let scattered = (position as u64 * 7_919 + 13) % 100;
        let slow = if row.host_wait == Wait::Poll { factor } else { 1.0 };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few microseconds")]
        let rtt_ns = ((10_000 + scattered) as f64 * slow) as u64;
        row.rtt_ns = Some(rtt_ns);
        // The guest's stamps would no longer be those of its parts.
        (row.g0_ns, row.g1_ns, row.g5_ns) = (None, None, None);
        (row.notify_ns, row.ack_ns, row.answer_ns, row.inject_ns, row.wake_ns) = (None, None, None, None, None);
    }
    run
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

fn across(dirs: &[&Path], limits: Option<&Limits>) -> Across {
    let runs: Vec<RunFolder> = dirs.iter().map(|dir| RunFolder::open(dir).expect("a run")).collect();
    compare(&runs, limits)
}

fn of(base: &Synthetic, this: &Synthetic, limits: Limits) -> Across {
    let (base, this) = (saved(base), saved(this));
    across(&[base.path(), this.path()], Some(&limits))
}

#[test]
fn a_run_against_itself_shows_no_difference_in_any_cell() {
    let mut run = run(1.0)
        .with(Workload::Frame, Wait::Poll, Wait::Poll, FRAME_1080P, 4)
        .with_storm(100)
        .with_stream(64, 50)
        .with(Workload::Idle, Wait::Poll, Wait::Poll, 64, 0);
    run.measured.blocks.last_mut().expect("just added").wall_ns = 3_000_000_000;
    let dir = saved(&run);
    let across = across(&[dir.path(), dir.path()], Some(&TEN_PERCENT));
    let against = &across.comparisons[0];
    assert_eq!(against.cells.len(), 6);
    assert!(against.identical);
    for cell in &against.cells {
        let known = (cell.ratio, cell.word, cell.unknown_because, cell.identical);
        assert_eq!(known, (Some(1.0), Word::NoDifferenceSeen, None, true), "{:?}", cell.name);
        assert!([None, Some(1.0)].contains(&cell.cpu_per_op_ratio), "{:?}", cell.name);
    }
    assert!(across.differences.is_empty());
    assert!(across.gate.as_ref().is_some_and(|gate| gate.passed && gate.too_noisy == 0));
    let text = text(&across);
    assert_eq!(text.matches("no difference seen").count(), 6, "{text}");
    assert!(text.contains("the very same samples"), "{text}");
}

#[test]
fn a_proved_slowdown_is_named_and_breaks_the_limit_and_a_speedup_does_not() {
    let slower = of(&run(1.0), &run(1.2), TEN_PERCENT);
    let words: Vec<(&str, Word)> =
        slower.comparisons[0].cells.iter().map(|cell| (cell.name.mode.as_str(), cell.word)).collect();
    assert_eq!(words, [("poll", Word::Slower), ("irq", Word::NoDifferenceSeen)]);
    let cell = &slower.comparisons[0].cells[0];
    assert!((cell.ratio.expect("a ratio") - 1.2).abs() < 0.001, "{cell:?}");
    let interval = cell.interval.expect("an interval");
    assert!(interval.low > 1.19 && interval.high < 1.21, "{interval:?}");
    let gate = slower.gate.expect("a limit was set");
    assert!(!gate.passed);
    let broken: Vec<(usize, &str, &str)> =
        gate.regressions.iter().map(|one| (one.run, one.cell.mode.as_str(), one.figure)).collect();
    assert_eq!(broken, [(1, "poll", "p50")]);
    assert!(gate.reasons[0].contains("pingpong 64B poll: p50 is 1.20 times"), "{:?}", gate.reasons);

    let faster = of(&run(1.2), &run(1.0), TEN_PERCENT);
    assert_eq!(faster.comparisons[0].cells[0].word, Word::Faster);
    assert!(faster.gate.expect("a limit was set").passed);
}

#[test]
fn a_slowdown_within_the_limit_passes_although_it_is_proved() {
    let across = of(&run(1.0), &run(1.05), TEN_PERCENT);
    assert_eq!(across.comparisons[0].cells[0].word, Word::Slower);
    assert!(across.gate.as_ref().is_some_and(|gate| gate.passed && gate.judged == 2), "{:?}", across.gate);
}

#[test]
fn a_slowdown_that_noise_may_explain_passes_and_is_counted_as_too_noisy() {
    // Half of the blocks twice as slow: a median anywhere between.
    let mut noisy = run(1.0);
    for row in noisy.rows.iter_mut().filter(|row| row.block % 3 == 0) {
        row.rtt_ns = row.rtt_ns.map(|ns| ns * 2);
    }
    let across = of(&run(1.0), &noisy, TEN_PERCENT);
    let gate = across.gate.expect("a limit was set");
    assert!(gate.passed, "{:?}", gate.reasons);
    assert_eq!((gate.judged, gate.too_noisy), (2, 2));
}

#[test]
fn a_tail_is_judged_when_it_is_asked_for() {
    // Every 50th round trip is five times as long: the median stays.
    let mut long_tail = run(1.0);
    for row in long_tail.rows.iter_mut().step_by(50) {
        row.rtt_ns = row.rtt_ns.map(|ns| ns * 5);
    }
    let p99 = Limits { p50: Some(0.1), p99: Some(0.5) };
    assert!(of(&run(1.0), &long_tail, TEN_PERCENT).gate.expect("a limit").passed);
    let gate = of(&run(1.0), &long_tail, p99).gate.expect("a limit");
    assert!(!gate.passed);
    assert!(gate.regressions.iter().all(|one| one.figure == "p99") && !gate.regressions.is_empty());
}

#[test]
fn a_gate_with_nothing_to_judge_is_shut() {
    let frames = Synthetic::empty().with(Workload::Frame, Wait::Poll, Wait::Poll, FRAME_1080P, 10);
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
    assert_eq!((cell.word, cell.unknown_because), (Word::Unknown, Some("too few blocks to know the noise")));
    let gate = one_block.gate.expect("a limit");
    let is_told = gate.reasons.iter().any(|reason| reason.contains("could be judged"));
    assert!(!gate.passed && gate.judged == 0 && is_told, "{:?}", gate.reasons);
}

#[test]
fn a_run_that_failed_its_checks_is_told_first_and_shuts_the_gate() {
    let mut failed = run(1.0);
    failed.block(0).counters.stale_acks = 3;
    let across = of(&run(1.0), &failed, TEN_PERCENT);
    assert_eq!(across.runs[1].failed_checks.iter().map(|check| check.pass).collect::<Vec<_>>(), [Verdict::Fail]);
    assert!(text(&across).starts_with("not to be trusted: "), "{}", text(&across));
    let gate = across.gate.expect("a limit");
    assert!(!gate.passed && gate.reasons[0].contains("not to be trusted"), "{:?}", gate.reasons);
}

#[test]
fn surroundings_that_differ_are_named_with_both_values() {
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
    let (differences, cells) = (text.find("accel").expect("told"), text.find("pingpong").expect("told"));
    assert!(differences < cells, "{text}");
    assert!(text.contains("kvm") && text.contains("2.5"), "{text}");
    assert!(across.gate.is_none());
}

#[test]
fn settings_that_differ_are_named_and_what_the_surroundings_say_is_not_told_twice() {
    let tcg = || Environment { accel: "tcg".into(), ..Environment::default() };
    let settings = |seed: u32, driver: &str| serde_json::json!({"seed": seed, "driver": driver, "gap_ns": 2});
    let (base, this) = (
        saved_as(&run(1.0), tcg(), &settings(1, "uio_pci_msix")),
        saved_as(&run(1.0), tcg(), &settings(7, "vfio_pci")),
    );
    let across = across(&[base.path(), this.path(), base.path()], None);
    let told: Vec<(&str, [String; 3])> =
        across.differences.iter().map(|one| (one.field.as_str(), [one.shown(0), one.shown(1), one.shown(2)])).collect();
    assert_eq!(told, [("config.seed", ["1", "7", "1"].map(str::to_owned))]);
}

#[test]
fn lines_fit_a_terminal_and_cannot_command_it() {
    let hostile = Environment {
        accel: "tcg".into(),
        guest_kernel: Some("6.1\u{1b}[2J<script>".into()),
        host_kernel: Some("long ".repeat(60)),
        ..Environment::default()
    };
    let run = run(1.0).with(Workload::Frame, Wait::Hybrid, Wait::Poll, FRAME_1080P, 10).with(
        Workload::Contention,
        Wait::Hybrid,
        Wait::Irq,
        64,
        10,
    );
    let (base, this) = (saved(&run), saved_on(&run, hostile));
    let text = text(&across(&[base.path(), this.path(), base.path()], Some(&TEN_PERCENT)));
    assert!(!text.contains('\u{1b}'));
    let widest = text.lines().max_by_key(|line| line.chars().count()).expect("lines");
    // A path is one word, however long.
    assert!(widest.chars().count() <= 101, "{widest}");
}

#[test]
fn a_folder_that_is_none_of_a_run_names_the_cure() {
    let root = tempfile::tempdir().expect("a folder");
    let told = |path: &Path| RunFolder::open(path).expect_err("no run").to_string();
    assert!(told(&root.path().join("missing")).contains("no such folder"));
    assert!(told(root.path()).contains("cargo xtask bench"));

    let run = saved(&run(1.0));
    assert!(told(&run.path().join("result.json")).contains("name the folder that it is in"));
    let latest = root.path().join("latest");
    symlink(run.path(), &latest).expect("linked");
    assert!(RunFolder::open(&latest).is_ok(), "a link to a run is the run");
    assert!(told(root.path()).contains(&format!("name one of them: {}", latest.display())));

    fs::remove_file(run.path().join("samples.csv")).expect("removed");
    assert!(told(run.path()).contains("result.json, measured.json and samples.csv"));
    fs::remove_file(run.path().join("result.json")).expect("removed");
    assert!(told(run.path()).contains("run it again"));
}

#[test]
fn the_json_form_holds_what_the_text_says() {
    let across = of(&run(1.0), &run(1.2), TEN_PERCENT);
    let document = serde_json::to_value(&across).expect("JSON");
    assert_eq!(document["schema_version"], 1);
    assert_eq!(document["runs"].as_array().map(Vec::len), Some(2));
    let cell = &document["comparisons"][0]["cells"][0];
    assert_eq!(
        (&cell["workload"], &cell["mode"], &cell["word"]),
        (&"pingpong".into(), &"poll".into(), &"slower".into())
    );
    assert_eq!(cell["figure"], "median_latency");
    assert_eq!(document["gate"]["passed"], false);
    assert_eq!(document["gate"]["regressions"][0]["cell"]["mode"], "poll");
}
