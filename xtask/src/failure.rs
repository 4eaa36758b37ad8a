//! How a command ends when it does not end well: a message, and an exit status that a script can use.

use std::fmt;
use std::process::ExitCode;

/// Failed: a self-check, a transfer, a refused action.
pub(crate) const FAILED: u8 = 1;
/// Wrong usage.
pub(crate) const USAGE: u8 = 2;
/// The machine lacks something; the message names the cure.
pub(crate) const LACKS: u8 = 3;

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
pub(crate) fn lacks(message: impl fmt::Display) -> anyhow::Error {
    Failure { status: LACKS, message: message.to_string() }.into()
}

/// Prints an error and returns the status to exit with.
pub(crate) fn exit(error: &anyhow::Error) -> ExitCode {
    crate::out::say(&format!("error: {error:#}"));
    let interrupted = error.chain().find_map(|e| e.downcast_ref::<crate::stop::Interrupted>());
    if let Some(interrupted) = interrupted {
        return ExitCode::from(interrupted.exit_status());
    }
    let own = error.chain().find_map(|e| e.downcast_ref::<Failure>()).map(|f| f.status);
    let provision = error.chain().find_map(|e| e.downcast_ref::<crate::provision::ProvisionError>());
    ExitCode::from(own.or(provision.map(crate::provision::ProvisionError::exit_status)).unwrap_or(FAILED))
}
