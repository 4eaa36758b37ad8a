//! A configuration becomes a plan: its blocks, and what goes with them.

use std::path::PathBuf;
use std::time::Duration;

use report::plan::{Pinning, Plan, QemuThreads};

use super::config::Config;

/// How long one operation may take. A 4K frame's hash takes a second under emulation.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(10);

impl Config {
    /// What the initiator gets.
    pub(crate) fn plan(&self, socket: PathBuf, qemu: QemuThreads, pinning: Pinning, ready: Duration) -> Plan {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Plan {
            nonce: nonce(),
            seed: self.seed,
            socket,
            pinning,
            qemu: Some(qemu),
            ready_timeout_ms: millis(ready),
            operation_timeout_ms: millis(OPERATION_TIMEOUT),
            spin_ns: self.spin_ns,
            ceiling_sizes: self.ceiling_sizes(),
            blocks: self.blocks(),
            fault: self.fault,
        }
    }
}

/// Different for every run, and never zero.
fn nonce() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let nanos = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
    (nanos ^ u64::from(std::process::id()) << 48) | 1
}
