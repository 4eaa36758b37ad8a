//! Why a run ends early.

use std::io;
use std::path::{Path, PathBuf};

use bench_protocol::layout::LayoutError;
use client::ClientError;
use doorbell::region::RegionError;

use super::run_monitor::StopReason;

/// Errors of a run.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The plan could not be read, or a result could not be written.
    #[error("cannot {action} {}", path.display())]
    File {
        /// The attempted action.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// An error of the connection to the server.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The shared memory cannot be mapped.
    #[error(transparent)]
    Region(#[from] RegionError),
    /// The shared memory does not fit the layout.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The guest did not answer in time, aborted a block, or lacks interrupts that the plan needs.
    #[error("{0}")]
    Guest(String),
    /// A signal, the guest or the server ended the run.
    #[error(transparent)]
    Stopped(#[from] StopReason),
    /// A system call failed.
    #[error("{what} failed")]
    System {
        /// The operation.
        what: &'static str,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

/// Converts the cause of a failed system call.
pub(crate) fn system<E: Into<io::Error>>(what: &'static str) -> impl FnOnce(E) -> BenchError {
    move |source| BenchError::System { what, source: source.into() }
}

/// Converts the cause of a failed access to a file, such as `read the plan`.
pub(crate) fn file_error<E>(action: &'static str, path: &Path) -> impl FnOnce(E) -> BenchError
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let path = path.to_owned();
    move |source| BenchError::File { action, path, source: source.into() }
}
