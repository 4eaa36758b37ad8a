//! A conformance check for any ivshmem server: connects as several clients, comes and goes, reads slowly and in bits, and
//! judges by what it was told. It needs nothing of the server but its socket, and changes no memory.
//!
//! Nothing is judged by a clock: that something comes only once is seen when what must follow it has come. A timeout, of each
//! step as a whole, only ends the wait for what never comes. What then was not judged is told from what was kept.
//!
//! 1. [`rule`]: the rules, verdicts and the report.
//! 2. `observer`: a client that takes whatever comes and writes it down.
//! 3. `exam` and `manners`: the order of events; `hand_over`, `notices`, `doorbells`, `memory`: judging what was written
//!    down.

mod client_behaviour;
mod doorbells;
mod handshake;
mod memory;
mod notices;
mod recorder;
pub mod rule;
mod suite;

use std::path::Path;
use std::time::Duration;

pub use rule::{ConformanceReport, Rule, RuleResult, Verdict};

use client::ClientError;
use suite::ConformanceSuite;

/// Examines the server at a socket, which may take `timeout` for each step.
///
/// An error means that there is no server to examine. What a server does wrong is in the report.
///
/// ```no_run
/// use std::time::Duration;
///
/// let report = host_peer::conformance::run("/tmp/ivshmem_socket".as_ref(), Duration::from_secs(5))?;
/// print!("{report}");
/// assert!(report.is_complete() && !report.failed());
/// # Ok::<(), client::ClientError>(())
/// ```
pub fn run(socket: &Path, timeout: Duration) -> Result<ConformanceReport, ClientError> {
    ConformanceSuite::begin(socket, timeout).map(ConformanceSuite::finish)
}
