//! Renders a result: files for programs, plots, the HTML and text reports, the terminal summary.

pub mod compare_runs;
pub mod export;
pub mod html;
pub mod plots;
pub mod report_doc;
pub mod terminal;
pub mod text;
mod text_table;
mod wrap;
