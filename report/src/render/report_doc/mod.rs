//! The content of the report: results, figures, environment, self-checks and warnings. [`page`](crate::render::html) and
//! [`text_report`](crate::render::text) only format it, so both have the same content.
//!
//! 1. [`value`] and [`table`]: a figure as text with its exact value; tables, facts and paragraphs.
//! 2. [`case`]: the name of a row.
//! 3. [`answer`], `comparison` and [`missing`]: the results with their verdicts, and what is missing from the run.
//! 4. The sections: [`latency`], [`legs`], [`frames`], [`flow`] (streams, open loops, storms, contention), [`cost`],
//!    [`machine`] and [`trust`].

pub mod answer;
pub mod case;
pub(crate) mod comparison;
pub mod cost;
pub mod flow;
pub mod folder;
pub mod frames;
pub mod latency;
pub mod legs;
pub mod machine;
pub mod missing;
pub mod table;
pub mod trust;
pub mod value;

pub use self::answer::Point;
pub use self::folder::Folder;
pub use self::table::{Column, Part, Row, Table};
pub use self::value::Value;

use crate::io::run::Run;
use crate::result::{CheckOutcome, RunResult};
use bench_model::WaitMode;

/// The heading of the results.
pub const RESULTS: &str = "Results";

/// The report of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// The title.
    pub title: String,
    /// The headline.
    pub answer: String,
    /// How the guest was executed, and what the figures are good for.
    pub label: String,
    /// Machine, programs and time in one line.
    pub machine: String,
    /// How many self-checks passed.
    pub checked: String,
    /// Whether no self-check failed.
    pub passed: bool,
    /// The warnings, without their hints.
    pub warnings: Vec<String>,
    /// The environment in a few lines.
    pub environment: Vec<(&'static str, String)>,
    /// The results, question by question, of the questions that have an answer.
    pub points: Vec<Point>,
    /// The questions without an answer, a line per reason.
    pub inconclusive: Vec<String>,
    /// What is missing from the run, and why. Empty for a whole run.
    pub missing: Vec<String>,
    /// Every wait mode that was measured: poll, irq, hybrid, mixed ones.
    pub modes: Vec<String>,
    /// The figures.
    pub sections: Vec<Section>,
}

/// One subject.
#[derive(Debug, Clone, PartialEq)]
pub struct Section {
    /// Its name in links, unique in the document.
    pub id: &'static str,
    /// Its heading.
    pub title: &'static str,
    /// Its content, in order. Never empty.
    pub parts: Vec<Part>,
}

impl Document {
    /// Collects it. `folder` lists the files of the run's folder.
    #[must_use]
    pub fn of(result: &RunResult, run: &Run, folder: &Folder) -> Self {
        let sections = [
            ("comparisons", "Comparison with polling", comparison::parts(result)),
            ("latency", "Latency", latency::parts(result)),
            ("legs", "Legs of a round trip", legs::parts(result)),
            ("frames", "Bandwidth: verified frames", frames::parts(result, run)),
            ("stream", "Streams", flow::streams(result)),
            ("openloop", "Open loop: latency by offered load", flow::open_loops(result)),
            ("contention", "Contention: with busy threads", flow::contention(result)),
            ("storm", "Storm: interrupts per doorbell", flow::storms(result)),
            ("cpu", "CPU time", cost::parts(result)),
            ("counters", "Counters", cost::counters(result)),
            ("ceilings", "Peak bandwidth", machine::ceilings(result)),
            ("checks", "Self-checks", trust::checks(result)),
            ("warnings", "Warnings", trust::warnings(result)),
            ("environment", "Environment", machine::environment(result)),
            ("config", "Configuration", machine::config(result)),
        ];
        let said = sections.into_iter().filter(|(_, _, parts)| !parts.is_empty());
        let modes = modes(result);
        let all = answer::points(result);
        let inconclusive = answer::inconclusive(&all);
        let points = all.into_iter().filter(|point| point.inconclusive.is_none()).collect();
        Self {
            title: title(&modes),
            answer: crate::render::terminal::answer(result),
            label: crate::render::terminal::label(&result.environment.accel),
            machine: machine::line(result),
            checked: checked(result),
            passed: result.passed(),
            warnings: result.warnings.iter().map(|warning| warning.message.clone()).collect(),
            environment: machine::brief(result),
            points,
            inconclusive,
            missing: missing::list(result, run, folder),
            modes,
            sections: said.map(|(id, title, parts)| Section { id, title, parts }).collect(),
        }
    }
}

fn title(modes: &[String]) -> String {
    match modes {
        [] => "ivshmem-doorbell: a run without figures".to_owned(),
        modes => format!("ivshmem-doorbell: {}", modes.join(", ")),
    }
}

/// Each mode once: both sides alike first, in the order of [`WaitMode`].
fn modes(result: &RunResult) -> Vec<String> {
    let mut seen: Vec<(bool, WaitMode, WaitMode, &str)> = result
        .cells
        .iter()
        .map(|cell| (cell.host_wait != cell.guest_wait, cell.host_wait, cell.guest_wait, cell.mode.as_str()))
        .collect();
    seen.sort_unstable();
    seen.dedup();
    seen.into_iter().map(|(_, _, _, mode)| mode.to_owned()).collect()
}

/// How many self-checks passed, for instance `15 of 15 self-checks passed`.
pub(crate) fn checked(result: &RunResult) -> String {
    let count = |verdict| result.self_checks.iter().filter(|check| check.pass == verdict).count() as u64;
    let (passed, failed, silent) =
        (count(CheckOutcome::Pass), count(CheckOutcome::Fail), count(CheckOutcome::NotApplicable));
    let of = passed + failed;
    let silent = if silent == 0 { String::new() } else { format!(", {silent} not applicable") };
    match failed {
        0 => format!("{passed} of {of} self-checks passed{silent}"),
        _ => format!("{failed} of {of} self-checks failed{silent}"),
    }
}
