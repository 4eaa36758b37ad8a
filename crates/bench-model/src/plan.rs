//! The plan of a run: an ordered list of blocks, with processes and limits.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::conditions::Conditions;
use crate::fault::Fault;
use crate::pinning::Pinning;
use crate::wait_mode::WaitMode;
use crate::workload::Workload;

/// A block: equal operations measured together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// Position in the plan, from 0.
    pub index: u32,
    /// The workload.
    pub workload: Workload,
    /// How the host waits for acknowledgements.
    pub host_wait: WaitMode,
    /// How the guest waits for messages.
    pub guest_wait: WaitMode,
    /// Bytes of payload per operation.
    pub size_bytes: u64,
    /// Warm-up operations, which are not counted.
    pub warmup: u64,
    /// Measured operations; with `limit_ms`, at most this many.
    pub count: u64,
    /// Time limit of the measured part, in milliseconds.
    #[serde(default)]
    pub limit_ms: Option<u64>,
    /// Send one more frame with a wrong hash; the guest must answer ERROR. Frame blocks only.
    pub corrupt_one: bool,
    /// Conditions that distinguish it from other blocks of its workload.
    #[serde(default)]
    pub conditions: Conditions,
}

impl Block {
    /// Whether the guest takes every stamp before it acknowledges. A guest that polls back to back for short messages does
    /// not: a stamp is a large part of the round trip there, so it stamps after its acknowledgement.
    #[must_use]
    pub fn is_stamped_before_ack(&self) -> bool {
        let conditions = &self.conditions;
        let is_back_to_back = conditions.gap_ns.is_none() && conditions.arrivals.is_none();
        let is_short = self.workload != Workload::Frame;
        self.guest_wait == WaitMode::Irq || !is_short || !is_back_to_back || conditions.full_stamps
    }
}

/// QEMU's threads, as reported by its monitor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QemuThreads {
    /// QEMU's process, whose first thread runs its main loop.
    pub pid: u32,
    /// Thread ids of the virtual CPUs.
    pub vcpus: Vec<u32>,
}

/// The initiator's input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Identifies this run: earlier runs may have left data in the memory.
    pub nonce: u64,
    /// Seed of the frames' content.
    pub seed: u64,
    /// The server's socket.
    pub socket: PathBuf,
    /// CPU affinity. QEMU's threads are already pinned; the initiator pins itself.
    #[serde(default)]
    pub pinning: Pinning,
    /// Threads whose CPU time each block records.
    pub qemu: Option<QemuThreads>,
    /// Time limit for the guest to become ready, in milliseconds.
    pub ready_timeout_ms: u64,
    /// Time limit of one operation, in milliseconds.
    pub operation_timeout_ms: u64,
    /// Factor for all other timeouts of initiator and guest (`--timeout-scale`).
    #[serde(default = "unscaled")]
    pub timeout_scale: u32,
    /// Spin time of a hybrid wait, in nanoseconds; `None`: the measured cost of blocking.
    pub spin_ns: Option<u64>,
    /// Copy sizes whose peak bandwidth is measured before the first block, in bytes.
    #[serde(default)]
    pub ceiling_sizes: Vec<u64>,
    /// In execution order.
    pub blocks: Vec<Block>,
    /// A fault to inject.
    pub fault: Option<Fault>,
}

/// The default factor.
fn unscaled() -> u32 {
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plan_without_timeout_scale_is_unscaled() {
        let mut plan = serde_json::json!({
            "nonce": 1, "seed": 1, "socket": "/s", "qemu": null, "ready_timeout_ms": 1, "operation_timeout_ms": 1,
            "spin_ns": null, "blocks": [], "fault": null,
        });
        let read = |plan: &serde_json::Value| serde_json::from_value::<Plan>(plan.clone()).unwrap().timeout_scale;
        assert_eq!(read(&plan), 1);
        plan["timeout_scale"] = 20.into();
        assert_eq!(read(&plan), 20);
    }
}
