//! Untrusted strings of the guest and of the machine cannot inject markup into the HTML report or escapes into the
//! terminal.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use bench_model::raw::PeakBandwidth;
use report::result::environment::Environment;
use report::{render, styled_summary, summary};

use crate::render::html_parser::tags;
use crate::run::{folder, rendered};
use crate::synthetic::Synthetic;

/// Markup, the end of an attribute, the end of a policy, escape sequences, direction controls, and entities.
const WORDS: &str =
    "</script><script>alert(1)</script>\"><img src=x onerror=alert(2)>'; \u{1b}[2J\u{0}\u{202e}\u{2066}&lt;";

fn spoiled() -> (Synthetic, Environment) {
    let mut run = Synthetic::both_modes();
    let guest = &mut run.measured.guest;
    WORDS.clone_into(&mut guest.driver);
    WORDS.clone_into(&mut guest.bar2_map);
    guest.kernel = WORDS.repeat(2_000);
    WORDS.clone_into(&mut guest.command_line);
    guest.bar2_ns_per_load = Some(1e300);
    guest.interrupts = false;
    WORDS.clone_into(&mut guest.interrupts_missing);
    run.measured.perf_missing = Some(WORDS.to_owned());
    run.measured.aborted = Some(WORDS.to_owned());
    run.measured.ceilings[0].guest = PeakBandwidth { heap_to_heap: 1e308, sha256: -1.0, ..PeakBandwidth::default() };
    for block in &mut run.measured.blocks {
        block.counters.interrupts = Some(u64::MAX);
        block.counters.uio_events = Some(u64::MAX);
    }
    run.first_row(0).rtt_ns = Some(u64::MAX);
    let environment =
        Environment { accel: WORDS.to_owned(), cpu_model: Some(WORDS.to_owned()), ..Environment::default() };
    (run, environment)
}

#[test]
fn untrusted_strings_are_escaped_in_the_page() {
    let (run, environment) = spoiled();
    let dir = folder(&run);
    render(dir.path(), environment, &serde_json::json!({WORDS: WORDS, "deep": {"er": [WORDS]}})).expect("rendered");
    let page = fs::read_to_string(dir.path().join("report.html")).expect("written");
    let all = tags(&page);
    assert_eq!(page.matches("<script>").count(), 1, "the page's own");
    assert!(!all.iter().any(|tag| tag.name == "img" || tag.attributes.contains("onerror=alert(2)>")));
    assert!(page.contains("&lt;script&gt;alert(1)"), "it is shown as text");
    let odd = |c: char| (c.is_control() && c != '\n') || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    assert_eq!(page.chars().find(|&c| odd(c)), None);
    assert!(page.len() < 1 << 20, "input cannot fill the reader's memory: {}", page.len());
    assert!(!page.contains("NaN") && !page.contains(">inf"));
}

#[test]
fn untrusted_strings_cannot_control_the_terminal() {
    let (run, environment) = spoiled();
    let dir = folder(&run);
    let result = render(dir.path(), environment, &serde_json::json!({WORDS: WORDS})).expect("rendered");
    let report = fs::read_to_string(dir.path().join("performance_report.txt")).expect("written");
    let styled = styled_summary(&result).replace("\u{1b}[2J", "the terminal was cleared");
    for text in [report, summary(&result)] {
        assert_eq!(text.chars().find(|&c| (c.is_control() && c != '\n') || c == '\u{202e}'), None);
    }
    assert!(!styled.contains("the terminal was cleared"), "{styled}");
}

#[test]
fn render_follows_no_links_and_removes_only_own_files() {
    let dir = folder(&Synthetic::both_modes());
    let elsewhere = tempfile::NamedTempFile::new().expect("a file");
    fs::write(elsewhere.path(), "mine").expect("written");
    let at = |name: &str| dir.path().join(name);
    symlink(elsewhere.path(), at("report.html.partial")).expect("linked");
    symlink(elsewhere.path(), at("result.json.partial")).expect("linked");
    fs::write(at("frame-4k-irq.hgrm"), "of an earlier rendering").expect("written");
    fs::write(at("notes.hgrm"), "mine").expect("written");
    rendered(dir.path()).expect("rendered");
    assert_eq!(fs::read_to_string(elsewhere.path()).expect("there"), "mine");
    assert!(at("report.html").symlink_metadata().expect("there").is_file());
    assert!(!at("frame-4k-irq.hgrm").exists(), "no cell of this run is named so");
    assert_eq!(fs::read_to_string(at("notes.hgrm")).expect("there"), "mine");
}

fn pipe_at(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().expect("mkfifo runs").success());
}

/// Every entry of a directory, recursively, with the content of files. Pipes and links are not opened.
fn all_of(dir: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("an entry")) {
        let kind = entry.file_type().expect("known");
        if kind.is_dir() {
            all.extend(all_of(&entry.path()));
        }
        all.insert(entry.path(), kind.is_file().then(|| fs::read(entry.path()).expect("read")));
    }
    all
}

#[test]
fn pipes_links_and_directories_are_refused_before_writing() {
    let elsewhere = tempfile::tempdir().expect("a directory");
    fs::write(elsewhere.path().join("latency_histogram.svg"), "mine").expect("written");
    fs::write(elsewhere.path().join("secret"), "mine").expect("written");
    let before = all_of(elsewhere.path());
    let places = [
        "plan.json",
        "measured.json",
        "measured.jsonl",
        "samples.csv",
        "result.json",
        "result.json.damaged",
        "report.html",
        "performance_report.txt",
        "run.hlog",
        "pingpong-64B-poll.hgrm",
        "plots",
        "plots/latency_percentiles.png",
    ];
    let kinds: [fn(&Path, &Path); 3] = [
        |at, _| fs::create_dir(at).expect("made"),
        |at, _| pipe_at(at),
        |at, elsewhere| symlink(elsewhere.join("nowhere"), at).expect("linked"),
    ];
    for name in places {
        for (kind, put) in kinds.iter().enumerate() {
            if name == "plots" && kind == 0 {
                continue;
            }
            let dir = folder(&Synthetic::both_modes());
            let at = dir.path().join(name);
            let _ = fs::remove_file(&at);
            fs::create_dir_all(at.parent().expect("a directory")).expect("made");
            put(&at, elsewhere.path());
            let here = all_of(dir.path());
            for error in [rendered(dir.path()).expect_err(name), report::rerender(dir.path()).expect_err(name)] {
                assert!(error.to_string().contains(name), "{error}");
            }
            assert_eq!(all_of(dir.path()), here, "{name} {kind}");
        }
    }
    for (name, target) in [("plots", ""), ("result.json", "secret")] {
        let dir = folder(&Synthetic::both_modes());
        symlink(elsewhere.path().join(target), dir.path().join(name)).expect("linked");
        let error = report::rerender(dir.path()).expect_err(name);
        assert!(matches!(error, report::ReportError::NotRegularFile { .. }), "{error}");
        assert!(!dir.path().join("result.json.damaged").exists() && !dir.path().join("report.html").exists());
    }
    assert_eq!(all_of(elsewhere.path()), before);
}

#[test]
fn damaged_result_keeps_its_permissions() {
    let dir = folder(&Synthetic::both_modes());
    let at = |name: &str| dir.path().join(name);
    fs::write(at("result.json"), "{").expect("written");
    fs::set_permissions(at("result.json"), fs::Permissions::from_mode(0o600)).expect("set");
    report::rerender(dir.path()).expect("rendered").repaired.expect("repaired");
    let kept = at("result.json.damaged").symlink_metadata().expect("kept");
    assert_eq!((kept.is_file(), kept.permissions().mode() & 0o777), (true, 0o600));
    assert_eq!(fs::read_to_string(at("result.json.damaged")).expect("read"), "{");
}
