//! What there is to say of a run, in the order in which a reader wants to know it: the answer, the figures it rests on,
//! the machine, and how far to trust all of it. [`page`](crate::page) and [`text_report`](crate::text_report) only set
//! it, so that both say the same.
//!
//! 1. [`value`] and [`table`]: a figure as people read it beside its exact value; tables, facts and paragraphs.
//! 2. [`case`]: what a row of a table is about.
//! 3. [`answer`] and [`missing`]: what wins for what and at which price; and what this run cannot say.
//! 4. The sections: [`latency`], [`legs`], [`frames`], [`flow`] (streams, open loops, storms, contention), [`cost`],
//!    [`machine`] and [`trust`].

pub mod answer;
pub mod case;
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

use crate::plan::Wait;
use crate::result::{RunResult, Verdict};
use crate::run::Run;
use crate::units::counted;

/// Everything that is said of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// What it is about.
    pub title: String,
    /// The answer in one sentence.
    pub answer: String,
    /// On what the figures were made, and what they stand for.
    pub label: String,
    /// The machine, the programs and the time, as far as they are known, in one line.
    pub machine: String,
    /// Whether the self-checks hold, in words.
    pub checked: String,
    /// Whether no self-check failed.
    pub passed: bool,
    /// The answer, question by question.
    pub points: Vec<Point>,
    /// What the run cannot say, and why. Empty for a whole run.
    pub missing: Vec<String>,
    /// Every way to wait that was measured, in the order of the cells' names: poll, irq, hybrid, mixed ones.
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
    /// What it says, in order. Never empty.
    pub parts: Vec<Part>,
}

impl Document {
    /// Collects it. `folder` is what lies beside `run`.
    #[must_use]
    pub fn of(result: &RunResult, run: &Run, folder: &Folder) -> Self {
        let sections = [
            ("comparisons", "Each way to wait against polling", answer::comparisons(result)),
            ("latency", "Latency", latency::parts(result)),
            ("legs", "Legs: where the time goes", legs::parts(result)),
            ("frames", "Bandwidth: verified frames", frames::parts(result, run)),
            ("stream", "Streams", flow::streams(result)),
            ("openloop", "Open loop: latency at an offered rate", flow::open_loops(result)),
            ("contention", "Contention: beside busy threads", flow::contention(result)),
            ("storm", "Storm: doorbells that nobody waits for", flow::storms(result)),
            ("cpu", "CPU time", cost::parts(result)),
            ("counters", "Counters", cost::counters(result)),
            ("ceilings", "Ceilings: what the memory can do", machine::ceilings(result)),
            ("checks", "Self-checks", trust::checks(result)),
            ("warnings", "Warnings", trust::warnings(result)),
            ("environment", "Environment", machine::environment(result)),
            ("config", "Configuration", machine::config(result)),
        ];
        let said = sections.into_iter().filter(|(_, _, parts)| !parts.is_empty());
        let modes = modes(result);
        Self {
            title: title(&modes),
            answer: crate::summary::answer(result),
            label: crate::summary::label(&result.environment.accel),
            machine: machine::line(result),
            checked: checked(result),
            passed: result.passed(),
            points: answer::points(result),
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

/// Each mode once: both sides alike first, in the order of [`Wait`].
fn modes(result: &RunResult) -> Vec<String> {
    let mut seen: Vec<(bool, Wait, Wait, &str)> = result
        .cells
        .iter()
        .map(|cell| (cell.host_wait != cell.guest_wait, cell.host_wait, cell.guest_wait, cell.mode.as_str()))
        .collect();
    seen.sort_unstable();
    seen.dedup();
    seen.into_iter().map(|(_, _, _, mode)| mode.to_owned()).collect()
}

fn checked(result: &RunResult) -> String {
    let count = |verdict| result.self_checks.iter().filter(|check| check.pass == verdict).count() as u64;
    let (passed, failed, silent) = (count(Verdict::Pass), count(Verdict::Fail), count(Verdict::NotApplicable));
    format!("{} passed, {failed} failed, {silent} not applicable", counted(passed, "self-check"))
}
