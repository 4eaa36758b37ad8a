//! How a command ends when it does not end well: a message, and an exit status that a script can use.

use std::fmt;
use std::process::ExitCode;

pub(crate) use cli_common::exit_status::{FAILED, LACKS as MISSING, USAGE};

/// An error that knows its exit status. Any other error is a plain failure.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Failure {
    status: u8,
    message: String,
}

impl Failure {
    /// The status to exit with.
    #[cfg(test)]
    pub(crate) fn status(&self) -> u8 {
        self.status
    }
}

/// An error for wrong usage.
pub(crate) fn usage(message: impl fmt::Display) -> anyhow::Error {
    Failure { status: USAGE, message: message.to_string() }.into()
}

/// An error for something that the machine lacks.
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
    let own = error.chain().find_map(|e| e.downcast_ref::<Failure>()).map(|f| f.status);
    let provision = error.chain().find_map(|e| e.downcast_ref::<crate::provision::ProvisionError>());
    ExitCode::from(own.or(provision.map(crate::provision::ProvisionError::exit_status)).unwrap_or(FAILED))
}
