//! The short text report.

use std::fs;

use report::io::run::Run;
use report::render::report_doc::{ReportDoc, RunFiles};
use report::render::text::{self, full};
use report::result::{CheckOutcome, Warning};

use crate::render::terminal::everything;
use crate::run::{folder, rendered};
use crate::synthetic::Synthetic;

/// Renders the short report.
fn short(result: &report::RunResult, run: &Run) -> String {
    text::short(&ReportDoc::new(result, run, &RunFiles::default()))
}

fn run_of(synthetic: Synthetic) -> Run {
    Run::new(synthetic.measured, synthetic.rows)
}

#[test]
fn short_report_fits_120_lines_of_100_columns() {
    let mut result = everything().result();
    let run = run_of(everything());
    let warning = Warning { message: "something was seen ".repeat(20), hint: "something to do".to_owned() };
    for failed in [0, 3, result.self_checks.len()] {
        result.warnings = vec![warning.clone(); 3 * failed];
        for check in result.self_checks.iter_mut().take(failed) {
            check.pass = CheckOutcome::Fail;
            check.detail = "something is wrong ".repeat(60);
        }
        let text = short(&result, &run);
        assert!(text.lines().count() <= 120, "{}:\n{text}", text.lines().count());
        let widest = text.lines().map(|line| line.chars().count()).max().unwrap_or(0);
        assert!(widest <= 100, "{widest}:\n{text}");
    }
}

#[test]
fn short_report_has_headline_tables_and_references() {
    let mut result = everything().result();
    for check in &mut result.self_checks {
        check.pass = CheckOutcome::Pass;
    }
    let text = short(&result, &run_of(everything()));
    let headings = ["Latency", "Contention", "Peak bandwidth", "Self-checks", "Warnings", "More"];
    let places: Vec<usize> = headings
        .iter()
        .map(|name| text.find(&format!("\n{name}\n---")).unwrap_or_else(|| panic!("{name}:\n{text}")))
        .collect();
    assert!(places.is_sorted(), "{text}");
    assert!(text.contains("Round-trip p50: poll ") && text.contains("95 % interval"), "{text}");
    let of = result.self_checks.len();
    assert!(text.contains(&format!("{of} of {of} self-checks passed")) && !text.contains("FAILED"), "{text}");
    assert!(text.contains("report.html") && text.contains("--text-full"), "{text}");
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains("CPU/op: CPU time of all threads per operation") && !text.contains("*/op"), "{text}");
    assert!(text.contains("paced, openloop: corrected latency (from the scheduled send time)"), "{text}");
}

#[test]
fn lists_failed_checks_only_with_details() {
    let mut run = Synthetic::both_modes();
    run.first_row(0).status = bench_model::samples::Status::Timeout;
    let text = short(&run.clone().result(), &run_of(run));
    assert_eq!(text.matches("FAILED").count(), 1, "{text}");
    assert!(text.contains("FAILED 14 every operation ended ok: 1 of 100 operations ended with timeout"), "{text}");
}

#[test]
fn full_report_has_more_sections_than_the_short_one() {
    let dir = folder(&Synthetic::both_modes());
    rendered(dir.path()).expect("rendered");
    let again = report::rerender(dir.path()).expect("rendered again");
    let long = full(&again.result, &again.run, dir.path());
    let text = fs::read_to_string(dir.path().join("performance_report.txt")).expect("written");
    for heading in ["Results", "Comparison with polling", "Legs of a round trip", "Counters", "Configuration"] {
        let line = format!("\n{heading}\n");
        assert!(long.contains(&line), "{heading}:\n{long}");
        assert!(!text.contains(&line) || heading == "Results", "{heading}:\n{text}");
    }
    assert!(
        text.lines().count() < 90 && long.lines().count() > 120,
        "{} {}",
        text.lines().count(),
        long.lines().count()
    );
}
