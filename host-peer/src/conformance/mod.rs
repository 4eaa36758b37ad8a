//! A conformance check for any ivshmem server. Connects as several clients, joins and leaves, reads slowly and byte by
//! byte, and compares the received messages with the rules. It needs only the socket and does not change the memory.
//!
//! No rule depends on timing: the absence of a message is confirmed by the message that must follow it. The timeout of a
//! step only ends the wait for a missing message. Rules that were not reached are reported as such.
//!
//! 1. [`rule`]: rules, verdicts and the report.
//! 2. `recorder`: a client that records every message.
//! 3. `suite`, `client_behaviour`: the order of events. `handshake`, `notices`, `doorbells`, `memory`: evaluate the
//!    recorded messages.

mod client_behaviour;
mod doorbells;
mod handshake;
mod memory;
mod notices;
mod recorder;
mod refusal;
pub mod rule;
mod suite;

use std::path::Path;
use std::time::Duration;

pub use rule::{ConformanceReport, Rule, RuleResult, Verdict};

use client::ClientError;
use suite::ConformanceSuite;

/// Checks the server at a socket, with a `timeout` per step.
///
/// An error means that no server was reached. Violations are in the report.
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
