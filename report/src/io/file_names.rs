//! The names of a run's files.

/// The raw run as one document.
pub const MEASURED_FILE: &str = "measured.json";
/// The operations' table.
pub const SAMPLES_FILE: &str = "samples.csv";
/// The plan.
pub const PLAN_FILE: &str = "plan.json";
/// The result document.
pub const RESULT_FILE: &str = "result.json";
/// A damaged result document, kept when rendering writes a new one.
pub const DAMAGED_RESULT_FILE: &str = "result.json.damaged";
/// The HTML report.
pub const HTML_FILE: &str = "report.html";
/// The short text report.
pub const TEXT_FILE: &str = "performance_report.txt";
