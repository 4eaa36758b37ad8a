//! What the initiator brings back from a run, block by block (`measured.json`). The operations themselves are in
//! [`samples`](crate::samples).

use serde::{Deserialize, Serialize};

use crate::plan::Block;

/// What the guest says of itself. Its words, not facts: shown, never relied on.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct GuestFacts {
    /// The driver bound to the device.
    pub driver: String,
    /// How the guest mapped BAR2.
    pub bar2_map: String,
    /// Whether caches answer loads from BAR2.
    pub bar2_cached: Option<bool>,
    /// What a load from BAR2 costs that depends on the load before, in nanoseconds.
    pub bar2_ns_per_load: Option<f64>,
    /// Gigabytes (10⁹) per second that the guest copies out of BAR2.
    pub bar2_read_gb_per_s: Option<f64>,
    /// The same with streaming loads.
    pub bar2_streaming_read_gb_per_s: Option<f64>,
    /// Gigabytes (10⁹) per second that the guest copies into BAR2.
    pub bar2_write_gb_per_s: Option<f64>,
    /// The running kernel's release.
    pub kernel: String,
    /// The kernel's clock source.
    pub clocksource: String,
    /// CPUs that the guest has online.
    pub cpus: u32,
    /// Whether doorbells reach the guest's user space.
    pub interrupts: bool,
    /// Why not, and the cure; empty when they do.
    pub interrupts_missing: String,
}

/// Events of one block, counted where they happen. `None`: the guest cannot see it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Counters {
    /// Doorbells that the host rang.
    pub rings: u64,
    /// Interrupts of the device, from the guest's /proc/interrupts.
    pub interrupts: Option<u64>,
    /// Events that the guest's driver reported through its descriptor.
    pub uio_events: Option<u64>,
    /// Times the guest blocked.
    pub guest_waits: u64,
    /// Messages that the guest found while it spun, before it armed.
    pub guest_found_spinning: u64,
    /// Messages that the guest found when it looked again after arming, so that it did not block.
    pub guest_found_armed: u64,
    /// Times the guest's guard ended a wait although the message was there.
    pub guest_deadline_wakeups: u64,
    /// Doorbells that the guest rang.
    pub guest_rings: u64,
    /// Events that the host read from its eventfd.
    pub host_events: u64,
    /// Times the host blocked.
    pub host_waits: u64,
    /// Acknowledgements that the host found while it spun, before it armed.
    pub host_found_spinning: u64,
    /// Acknowledgements that the host found when it looked again after arming.
    pub host_found_armed: u64,
    /// Times the host's guard ended a wait although the acknowledgement was there.
    pub host_deadline_wakeups: u64,
    /// Acknowledgements that carried a sequence number other than the awaited one or the one before it.
    pub stale_acks: u64,
    /// Waits after which the message was there and its event did not come within a second more.
    pub lost_wakeups: u64,
}

/// CPU time of a block's measured operations in nanoseconds. Making frames and checking them at the source is left out.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CpuTime {
    /// The initiator's thread.
    pub host_ns: u64,
    /// All virtual CPUs together. `None`: the plan named none.
    pub vcpu_ns: Option<u64>,
    /// QEMU's main loop.
    pub main_loop_ns: Option<u64>,
}

/// How the guest's clock stood to the host's around a block.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ClockFit {
    /// Guest minus host before the block, in nanoseconds.
    pub before_ns: f64,
    /// Guest minus host after the block, in nanoseconds.
    pub after_ns: f64,
    /// Half of the least round trip seen while fitting: the offset is known to plus or minus this.
    pub bound_ns: f64,
}

impl ClockFit {
    /// Whether one-way figures may be derived: the offset moved no more than it is known.
    #[must_use]
    pub fn is_stable(&self) -> bool {
        (self.after_ns - self.before_ns).abs() <= 2.0 * self.bound_ns
    }
}

/// How the guest answered the frame that was corrupted on purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CorruptAnswer {
    /// With ERROR(hash), as it must.
    Refused,
    /// With PROCESSED: it does not verify.
    Accepted,
    /// Otherwise, or not at all.
    Other,
}

/// One block as it went.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MeasuredBlock {
    /// What was asked.
    pub block: Block,
    /// Time in which the measured operations were under way, in nanoseconds; making frames is left out.
    pub wall_ns: u64,
    /// Operations measured, failed ones included.
    pub operations: u64,
    /// Events over the whole block, warm-up included.
    pub counters: Counters,
    /// CPU time of the measured operations.
    pub cpu: CpuTime,
    /// How the clocks stood.
    pub clock: ClockFit,
    /// Where the block had a frame corrupted on purpose.
    pub corrupt_answer: Option<CorruptAnswer>,
    /// Bytes of measured frames whose hash the guest confirmed.
    pub bytes_verified: u64,
}

/// A whole run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// What the guest said of itself.
    pub guest: GuestFacts,
    /// The host's time stamp counter, in Hz.
    pub tsc_hz: f64,
    /// This side's id at the server.
    pub host_peer: u16,
    /// The guest's id at the server.
    pub guest_peer: u16,
    /// How long hybrid waits spun before they blocked, in nanoseconds; `None`: there were none.
    #[serde(default)]
    pub spin_ns: Option<u64>,
    /// Size of the shared memory.
    pub memory_bytes: u64,
    /// Blocks that were finished, in order.
    pub blocks: Vec<MeasuredBlock>,
    /// Why the run ended early; `None` when it did not.
    pub aborted: Option<String>,
}
