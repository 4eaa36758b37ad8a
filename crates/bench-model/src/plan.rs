//! What a run is to measure: an ordered list of blocks, and the processes and limits that go with it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::conditions::Conditions;
use crate::fault::Fault;
use crate::pinning::Pinning;
use crate::wait_mode::WaitMode;
use crate::workload::Workload;

/// A stretch of equal operations that is measured in one go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// Position in the plan, from 0.
    pub index: u32,
    /// The question.
    pub workload: Workload,
    /// How the host waits for acknowledgements.
    pub host_wait: WaitMode,
    /// How the guest waits for messages.
    pub guest_wait: WaitMode,
    /// Bytes of payload per operation.
    pub size_bytes: u64,
    /// Operations that are run first and left out of the figures.
    pub warmup: u64,
    /// Operations that are measured; the most of them where there is a `limit_ms`.
    pub count: u64,
    /// The measured part ends after this time, in milliseconds, though fewer operations were done.
    #[serde(default)]
    pub limit_ms: Option<u64>,
    /// Send one more frame whose content does not match its hash; the guest must answer ERROR. Frame blocks only.
    pub corrupt_one: bool,
    /// What else distinguishes it from other blocks of its workload.
    #[serde(default)]
    pub conditions: Conditions,
}

impl Block {
    /// Whether the guest takes every stamp before it answers. Not so where it spins back to back for short messages: there
    /// a stamp is a good part of the round trip, and it stamps behind its answer, when the host has seen that already.
    #[must_use]
    pub fn is_stamped_before_answer(&self) -> bool {
        let conditions = &self.conditions;
        let is_back_to_back = conditions.gap_ns.is_none() && conditions.arrivals.is_none();
        let is_short = self.workload != Workload::Frame;
        self.guest_wait == WaitMode::Irq || !is_short || !is_back_to_back || conditions.full_stamps
    }
}

/// QEMU's threads, as its monitor names them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QemuThreads {
    /// QEMU's process, whose first thread runs its main loop.
    pub pid: u32,
    /// Thread ids of the virtual CPUs.
    pub vcpus: Vec<u32>,
}

/// Everything that the initiator needs to know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Distinguishes this run from whatever an earlier one left in the memory.
    pub nonce: u64,
    /// Seed of the frames' content.
    pub seed: u64,
    /// The server's socket.
    pub socket: PathBuf,
    /// On which CPU each thread stays. QEMU's threads are there already; the initiator goes there itself.
    #[serde(default)]
    pub pinning: Pinning,
    /// Whose CPU time is charged to each block.
    pub qemu: Option<QemuThreads>,
    /// How long the guest may take to say that it is ready, in milliseconds.
    pub ready_timeout_ms: u64,
    /// How long one operation may take, in milliseconds.
    pub operation_timeout_ms: u64,
    /// What every other deadline of the initiator and the guest is multiplied by (`--timeout-scale`).
    #[serde(default = "unscaled")]
    pub timeout_scale: u32,
    /// How long a hybrid wait spins before it blocks, in nanoseconds; `None`: as long as blocking is measured to take.
    pub spin_ns: Option<u64>,
    /// Sizes of copies whose ceilings are measured before the first block, in bytes.
    #[serde(default)]
    pub ceiling_sizes: Vec<u64>,
    /// In the order in which they are run.
    pub blocks: Vec<Block>,
    /// A fault to put in.
    pub fault: Option<Fault>,
}

/// The factor of a plan that has none.
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
