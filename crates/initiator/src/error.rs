//! Why a run ends early.

use std::path::PathBuf;
use std::time::Duration;

use bench_protocol::layout::LayoutError;
use client::ClientError;
use doorbell::region::RegionError;

use super::run_monitor::StopReason;

/// Why a run could not be finished.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The plan could not be read.
    #[error("cannot read the plan {}", path.display())]
    Plan {
        /// The plan's file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A result could not be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The reason.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The server.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The memory.
    #[error(transparent)]
    Region(#[from] RegionError),
    /// The layout.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The guest did not say that it is there.
    #[error("no guest answered within {waited:?}: is guest-uio responding in a VM on this server?")]
    NoGuest {
        /// How long it was waited for.
        waited: Duration,
    },
    /// The guest cannot do what the plan asks.
    #[error("irq mode cannot be measured with this guest: {why}")]
    NoInterrupts {
        /// The guest's diagnosis.
        why: String,
    },
    /// The guest could not run a block.
    #[error("the guest gave block {block} up: {why}")]
    GuestAborted {
        /// The block.
        block: u32,
        /// The guest's words.
        why: String,
    },
    /// No answer to an operation.
    #[error("no answer to operation {seq} within {waited:?}; {states}")]
    Timeout {
        /// The operation.
        seq: u64,
        /// How long it was waited for.
        waited: Duration,
        /// Both sides' last states.
        states: String,
    },
    /// The guest did not get ready for a block, or did not finish it.
    #[error("the guest was not {what} within {waited:?}; {states}")]
    GuestTimeout {
        /// What was waited for.
        what: &'static str,
        /// How long.
        waited: Duration,
        /// Both sides' last states.
        states: String,
    },
    /// Something ended the run from outside.
    #[error(transparent)]
    StopReason(#[from] StopReason),
    /// A system call failed.
    #[error("{what} failed")]
    System {
        /// What was tried.
        what: &'static str,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
}
