//! What a run's folder holds and says: the plan that is measured, the raw results, statistics, exports, the summary.
//! Reads and writes files; starts nothing and measures nothing.
//!
//! Read in this order:
//! 1. [`plan`]: what is to be measured, written by the front door, read by the initiator; under which [`conditions`],
//!    on which CPUs ([`pinning`]), and with which [`fault`] put in on purpose.
//! 2. [`measured`] (with [`thread_cost`]) and [`samples`]: what the initiator brings back, per block and per operation;
//!    [`progress`]: what it says meanwhile.
//! 3. [`result`] and [`environment`]: the document that a run ends in.
//! 4. [`render`], below: from the one to the other. [`read`] takes the files in, [`run`] joins blocks and rows,
//!    [`evaluate`] makes [`cells`] (with [`stats`] and [`cost`]), comparisons ([`compare`]),
//!    [`findings`], [`checks`] and [`warnings`] of them.
//! 5. [`exports`] and [`summary()`]: the same figures as files and on a terminal, in the words of [`units`] and
//!    [`frame_size`].
//! 6. [`plots`]: the same figures as pictures.
//! 7. [`document`]: what there is to say of a run; [`page`] and [`text_report`] set it. [`render_again`]: all of it from a
//!    folder alone.
//! 8. [`across`]: several runs beside each other.

pub mod across;
pub mod again;
pub mod cell_name;
pub mod cells;
pub mod checks;
pub mod compare;
pub mod conditions;
pub mod cost;
pub mod document;
pub mod environment;
pub mod error;
pub mod evaluate;
pub mod exports;
pub mod fault;
pub mod findings;
pub mod frame_size;
pub mod measured;
pub mod page;
pub mod pinning;
pub mod plan;
pub mod plots;
pub mod progress;
pub mod read;
pub mod result;
pub mod run;
pub mod samples;
#[cfg(test)]
mod schema;
pub mod stats;
pub mod summary;
pub mod text_report;
pub mod thread_cost;
pub mod units;
pub mod warnings;

use std::path::Path;

use serde::Serialize;

pub use crate::again::render_again;
use crate::environment::Environment;
pub use crate::error::ReportError;
use crate::measured::Measured;
pub use crate::result::RunResult;
use crate::result::Warning;
use crate::run::Run;
use crate::samples::Row;
pub use crate::summary::{driver_table, styled_summary, summary};

/// Reads what the initiator left in `dir`, judges it, writes the exports beside it and returns the document. Rendering
/// a folder again gives the same files. A run that ended early is rendered as far as it came.
pub fn render(dir: &Path, environment: Environment, config: &impl Serialize) -> Result<RunResult, ReportError> {
    let measured = read::read_measured(&dir.join(read::MEASURED_FILE))?;
    let samples = read::read_samples(&dir.join(read::SAMPLES_FILE))?;
    let config = serde_json::to_value(config).map_err(ReportError::Config)?;
    render_run(dir, environment, config, measured, samples)
}

/// From what was read to the files.
fn render_run(
    dir: &Path,
    environment: Environment,
    config: serde_json::Value,
    measured: Measured,
    (rows, cut_off): (Vec<Row>, Option<Warning>),
) -> Result<RunResult, ReportError> {
    let run = Run::new(measured, rows);
    let result = evaluate::evaluate(environment, config, &run, cut_off);
    let plots = plots::plots(&result, &run);
    plots::write_into(dir, &plots)?;
    exports::hgrm::write_all(dir, &run)?;
    for export in exports::all() {
        exports::write_into(dir, export, &result, &run)?;
    }
    exports::write_into(dir, &text_report::TextReport::of(dir), &result, &run)?;
    // Last, because it links to what is there.
    exports::write_into(dir, &page::Page::of(dir, plots), &result, &run)?;
    Ok(result)
}

/// Notes why a run ended early, in the words of whoever saw the cause: the initiator only knows that it was stopped.
pub fn note_end(dir: &Path, reason: &str) -> Result<(), ReportError> {
    let path = dir.join(read::MEASURED_FILE);
    let mut measured = read::read_measured(&path)?;
    measured.aborted = Some(reason.to_owned());
    exports::replace(&path, |out| serde_json::to_writer_pretty(out, &measured).map_err(std::io::Error::from))
}
