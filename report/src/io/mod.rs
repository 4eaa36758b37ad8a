//! Reads a run's files and writes those of its report.

pub mod error;
pub mod file_names;
pub mod read;
pub mod run;
pub mod write;

pub use self::error::ReportError;
pub use self::run::{Run, RunBlock};
