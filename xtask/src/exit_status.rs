//! Errors with exit statuses.

use std::fmt;
use std::process::ExitCode;

pub(crate) use cli_common::exit_status::{FAILED, MISSING, USAGE};

/// An error with its exit status. Other errors have status 1.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Failure {
    pub(crate) status: u8,
    message: String,
}

/// Returns an error for wrong usage.
pub(crate) fn usage(message: impl fmt::Display) -> anyhow::Error {
    Failure { status: USAGE, message: message.to_string() }.into()
}

/// Returns an error for a dependency that this host lacks.
pub(crate) fn missing_dependency(message: impl fmt::Display) -> anyhow::Error {
    Failure { status: MISSING, message: message.to_string() }.into()
}

/// Prints an error and returns the status to exit with.
pub(crate) fn exit(error: &anyhow::Error) -> ExitCode {
    crate::ui::status(&format!("error: {error:#}"));
    let cancelled = error.chain().find_map(|e| e.downcast_ref::<crate::signals::Cancelled>());
    if let Some(cancelled) = cancelled {
        return ExitCode::from(cancelled.exit_status());
    }
    ExitCode::from(error.chain().find_map(|e| e.downcast_ref::<Failure>()).map_or(FAILED, |failure| failure.status))
}
