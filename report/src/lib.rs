//! Evaluates and renders the directory of a run. Starts no process and measures nothing.
//!
//! 1. [`io`] reads the initiator's files into a [`Run`](io::Run) and writes files.
//! 2. [`result`]: the types of `result.json`. The statistics over raw samples are in the `statistics` crate.
//! 3. [`evaluate`](evaluate::evaluate) derives the result: cells, comparisons, findings, self-checks, warnings.
//!    [`evaluate::compare_runs`] compares several runs.
//! 4. [`mod@render`]: exports, plots, the HTML and text reports, the terminal summary.
//! 5. [`render()`] and [`rerender()`] run all of it on a directory.

pub mod evaluate;
pub mod io;
mod paths;
mod pipeline;
pub mod render;
pub mod result;
#[cfg(test)]
mod schema_tests;

pub use crate::io::ReportError;
pub use crate::pipeline::{Ended, Rerendered, render, render_ended, rerender};
pub use crate::render::terminal::{driver_table, styled_summary, styled_summary_within, summary, summary_within};
pub use crate::result::RunResult;
