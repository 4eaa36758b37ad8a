//! Renders a result: files for programs, plots, the report as page and text, the summary for a terminal.

pub mod compare_runs;
pub mod export;
pub mod html;
pub mod plots;
pub mod report_doc;
pub mod terminal;
pub mod text;
