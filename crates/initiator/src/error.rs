//! Why a run ends early.

use std::path::PathBuf;
use std::time::Duration;

use bench_protocol::layout::LayoutError;
use client::ClientError;
use doorbell::region::RegionError;

use super::run_monitor::StopReason;

/// Errors of a run.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The plan could not be read.
    #[error("cannot read the plan {}", path.display())]
    Plan {
        /// The plan's file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A result could not be written.
    #[error("cannot write {}", path.display())]
    Write {
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
    /// No guest announced itself.
    #[error(
        "no guest answered within {waited:?}. Hint: run guest-uio respond in a VM on this server; use a longer \
         --ready-timeout on a slow machine"
    )]
    NoGuest {
        /// The timeout.
        waited: Duration,
    },
    /// The guest has no interrupts, which the plan needs.
    #[error("cannot measure irq mode with this guest: {why}")]
    NoInterrupts {
        /// The reason that the guest reports.
        why: String,
    },
    /// The guest aborted a block.
    #[error("the guest aborted block {block}: {why}")]
    GuestAborted {
        /// The block.
        block: u32,
        /// The reason that the guest reports.
        why: String,
    },
    /// An operation was not acknowledged in time.
    #[error("no acknowledgement of operation {seq} within {waited:?}; {states}")]
    Timeout {
        /// Its sequence number.
        seq: u64,
        /// The timeout.
        waited: Duration,
        /// Last states of both sides.
        states: String,
    },
    /// The guest did not start or finish a block in time.
    #[error("the guest was not {what} within {waited:?}; {states}")]
    GuestTimeout {
        /// The awaited state.
        what: &'static str,
        /// The timeout.
        waited: Duration,
        /// Last states of both sides.
        states: String,
    },
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
        source: std::io::Error,
    },
}
