//! The content of the report. The [HTML report](crate::render::html), the [text report](crate::render::text) and the
//! [terminal summary](crate::render::terminal) only format it, so they agree.
//!
//! 1. `value` and `table`: a number as text with its exact value; tables, facts and paragraphs.
//! 2. `cell_label` and `verdict`: labels of rows, verdicts as text.
//! 3. `headline`, `key_results`, `notes` and `incomplete`: the results, and what the run lacks. `overview` combines
//!    them for the short forms.
//! 4. `sections`: the complete tables.

mod cell_label;
mod checks;
mod headline;
mod incomplete;
mod key_results;
mod notes;
pub(crate) mod overview;
mod run_files;
mod sections;
pub(crate) mod table;
pub(crate) mod value;
mod verdict;

use self::cell_label::{KEYS, cell_table, description, label};
pub use self::checks::CheckSummary;
pub(crate) use self::key_results::by_reason;
pub use self::key_results::{KeyResult, key_results};
pub(crate) use self::notes::{Note, NoteKind};
pub(crate) use self::overview::{Overview, has_row};
pub use self::run_files::RunFiles;
pub(crate) use self::sections::Section;
pub(crate) use self::table::{Column, SectionPart, Table, TableColumn};
pub(crate) use self::value::Value;

use crate::io::run::Run;
use crate::result::RunResult;
use bench_model::WaitMode;

/// The heading of the key results.
pub const RESULTS: &str = "Results";

/// The report of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct ReportDoc {
    /// The title.
    pub title: String,
    /// Headline, cells, notes, self-checks and warnings.
    pub overview: Overview,
    /// Machine, versions and time in one line.
    pub machine: String,
    /// The environment in a few lines.
    pub environment: Vec<(&'static str, String)>,
    /// The key results that are conclusive.
    pub key_results: Vec<KeyResult>,
    /// The inconclusive questions, one line per reason.
    pub inconclusive: Vec<String>,
    /// What an incomplete run lacks, and why.
    pub missing: Vec<String>,
    /// The measured wait modes.
    pub modes: Vec<String>,
    /// The complete tables.
    pub sections: Vec<Section>,
}

impl ReportDoc {
    /// The report of a run. `files` lists the files of its directory.
    #[must_use]
    pub fn new(result: &RunResult, run: &Run, files: &RunFiles) -> Self {
        let modes = modes(result);
        let key_results = key_results(result);
        let inconclusive = key_results::inconclusive(&key_results);
        Self {
            title: title(&modes),
            overview: Overview::new(result),
            machine: sections::machine_line(result),
            environment: sections::brief_environment(result),
            key_results: key_results.into_iter().filter(|result| result.inconclusive.is_none()).collect(),
            inconclusive,
            missing: incomplete::incomplete(result, run, files),
            modes,
            sections: sections::sections(result, run),
        }
    }

    /// The parts of a section. Empty without data.
    #[must_use]
    pub fn section(&self, id: &str) -> &[SectionPart] {
        self.sections.iter().find(|section| section.id == id).map_or(&[], |section| &section.parts)
    }
}

fn title(modes: &[String]) -> String {
    match modes {
        [] => "ivshmem-doorbell: no results".to_owned(),
        modes => format!("ivshmem-doorbell: {}", modes.join(", ")),
    }
}

/// Each mode once: same mode on both sides first, in the order of [`WaitMode`].
fn modes(result: &RunResult) -> Vec<String> {
    let mut modes: Vec<(bool, WaitMode, WaitMode, &str)> = result
        .cells
        .iter()
        .map(|cell| (cell.host_wait != cell.guest_wait, cell.host_wait, cell.guest_wait, cell.mode.as_str()))
        .collect();
    modes.sort_unstable();
    modes.dedup();
    modes.into_iter().map(|(_, _, _, mode)| mode.to_owned()).collect()
}
