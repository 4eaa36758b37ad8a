//! What the initiator brings back from a run, block by block (`measured.json`). The operations themselves are in
//! [`samples`](crate::samples).

use serde::{Deserialize, Serialize};

use crate::pinning::Pinning;
use crate::plan::Block;
use crate::thread_usage::{ContextSwitches, PerfTime};
use crate::workload::Workload;

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
    /// The processor that the guest sees.
    pub cpu_model: String,
    /// The kernel's command line.
    pub command_line: String,
    /// Share of the guest's time since its boot that the host gave to others, in per cent.
    pub steal_percent: Option<f64>,
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
    /// CPU time of the guest's thread that answers, in nanoseconds of the guest's clock.
    pub guest_cpu_ns: u64,
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
    /// Doorbells of the host that did not reach the guest within a second after their message was there.
    pub guest_lost_wakeups: u64,
    /// Doorbells of the guest that did not reach the host within a second after their answer was there.
    pub host_lost_wakeups: u64,
    /// Times the guest's thread gave its CPU up, in its own word.
    pub guest_yields: u64,
    /// Messages of a stream whose content was wrong.
    pub mismatches: u64,
}

impl Counters {
    /// Doorbells lost on either way.
    #[must_use]
    pub fn lost_wakeups(&self) -> u64 {
        self.guest_lost_wakeups.saturating_add(self.host_lost_wakeups)
    }
}

/// What went through in a storm or a stream, where operations do not wait for each other.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Traffic {
    /// Messages that the host published.
    pub sent: u64,
    /// Messages that the guest saw: all of a stream's, and whichever of a storm's were the newest when it looked.
    pub seen: u64,
    /// Whether the guest saw the last one, in its own word.
    pub last_seen: bool,
    /// Streams: from before the first message to after the answer to the last. Storms: from the first ring to the last, in
    /// which all but the last were rung. In nanoseconds.
    pub span_ns: u64,
    /// Times the host had to wait because the ring was full: the first look for a free slot found none.
    pub full: u64,
}

impl Traffic {
    /// Messages that the span holds, of those that `workload` counts: rings of a storm, without the last, at which the span
    /// ends; of a stream what went through.
    #[must_use]
    pub fn within_span(&self, workload: Workload) -> u64 {
        if workload == Workload::Storm { self.sent.saturating_sub(1) } else { self.seen }
    }
}

/// Peak bandwidth of one side's memory in bytes per second, with copies of one size.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "Ceiling"))]
#[serde(default)]
pub struct PeakBandwidth {
    /// Private memory to private memory.
    pub heap_to_heap: f64,
    /// Private memory into the shared region.
    pub heap_to_region: f64,
    /// The shared region to private memory.
    pub region_to_heap: f64,
    /// Loading private memory without storing it.
    pub heap_read: f64,
    /// Loading the shared region without storing it.
    pub region_read: f64,
    /// SHA-256 of private memory.
    pub sha256: f64,
    /// SHA-256 of the shared region, copied out in chunks of 4 KiB: bytes that the other side may change cannot be hashed
    /// in place.
    pub region_sha256: f64,
    /// Duration of one time stamp in nanoseconds.
    pub stamp_ns: f64,
}

/// Peak bandwidth of both sides for one size.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "Ceilings"))]
pub struct PeakBandwidths {
    /// Bytes copied.
    pub size_bytes: u64,
    /// The host's.
    pub host: PeakBandwidth,
    /// The guest's, as it reports them.
    pub guest: PeakBandwidth,
}

/// What the initiator itself costs, measured with an operation that is answered at once by nobody.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Overhead {
    /// Median of the span that such an operation reports, in nanoseconds: part of every round trip.
    pub empty_operation_ns: f64,
    /// From one such operation to the next, in nanoseconds: what lies between two round trips.
    pub per_operation_ns: f64,
}

/// CPU time of a block's measured operations in nanoseconds. Making frames and checking them at the source is left out.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CpuTime {
    /// The initiator's thread, without `host_pacing_ns`.
    pub host_ns: u64,
    /// All virtual CPUs together. `None`: the plan named none.
    pub vcpu_ns: Option<u64>,
    /// QEMU's main loop.
    pub main_loop_ns: Option<u64>,
    /// Each virtual CPU by itself, in the plan's order. Empty where `vcpu_ns` is `None`.
    #[serde(default)]
    pub vcpus_ns: Vec<u64>,
    /// Context switches over the same stretches.
    #[serde(default)]
    pub switches: ContextSwitches,
    /// What the processor counted over the same stretches.
    #[serde(default)]
    pub perf: PerfTime,
    /// What an initiator that sleeps spun before messages so that they are sent when they are due: the instrument's, and
    /// taken off `host_ns`.
    #[serde(default)]
    pub host_pacing_ns: u64,
}

impl CpuTime {
    /// Takes what pacing spun off the initiator's time, of which it cannot be more.
    #[must_use]
    pub fn without_pacing(mut self, spun_ns: u64) -> Self {
        self.host_pacing_ns = spun_ns.min(self.host_ns);
        self.host_ns -= self.host_pacing_ns;
        self
    }
}

/// How the guest's clock stood to the host's around a block.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ClockFit {
    /// Guest minus host before the block, in nanoseconds.
    pub before_ns: f64,
    /// Guest minus host after the block, in nanoseconds.
    pub after_ns: f64,
    /// Half of the least round trip seen while fitting: each look knows the offset to plus or minus this, the less exact one
    /// of the two.
    pub bound_ns: f64,
}

impl ClockFit {
    /// Whether one-way figures may be derived: both looks may show the same offset. Each is off by the bound at most, so that
    /// they differ by twice the bound at most if it did not move.
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

/// Where a thread may run and did, at the end of a block.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ThreadAffinity {
    /// The CPUs that it may use.
    pub allowed: Vec<usize>,
    /// The one on which it last ran. `None`: the kernel does not say.
    pub last_cpu: Option<usize>,
}

/// Where a block's threads were. `None`: the thread could not be seen.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct BlockPlacement {
    /// Where they were to be.
    pub wanted: Pinning,
    /// The initiator.
    pub host: Option<ThreadAffinity>,
    /// Each virtual CPU, in their order.
    pub vcpus: Vec<Option<ThreadAffinity>>,
    /// QEMU's main loop.
    pub main_loop: Option<ThreadAffinity>,
}

/// One block as it went.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RawBlock {
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
    /// Bytes of measured frames whose hash the guest confirmed, and of a stream's messages that it found whole.
    pub bytes_verified: u64,
    /// Storms and streams.
    #[serde(default)]
    pub traffic: Option<Traffic>,
    /// Open loops: messages that were due and not sent when the block's time was up. They are in no other figure.
    #[serde(default)]
    pub unsent: u64,
    /// Where the threads were. `None`: nobody looked.
    #[serde(default)]
    pub placement: Option<BlockPlacement>,
    /// How long the machine was suspended while the operations were under way, in nanoseconds.
    #[serde(default)]
    pub suspended_ns: u64,
}

impl RawBlock {
    /// How many rows `samples.csv` must have of it: none of a stream and of idling, one of a storm, which is its last
    /// message's.
    #[must_use]
    pub fn rows(&self) -> u64 {
        match self.block.workload {
            Workload::Stream | Workload::Idle => 0,
            Workload::Storm => 1,
            _ => self.operations,
        }
    }
}

/// A whole run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RawRun {
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
    /// Which of the processor's counters could not be had, and why; `None`: none is missing, or nobody asked.
    #[serde(default)]
    pub perf_missing: Option<String>,
    /// Size of the shared memory.
    pub memory_bytes: u64,
    /// What each side's memory can do, by size.
    #[serde(default)]
    pub ceilings: Vec<PeakBandwidths>,
    /// What the initiator costs.
    #[serde(default)]
    pub overhead: Option<Overhead>,
    /// Blocks that were finished, in order.
    pub blocks: Vec<RawBlock>,
    /// Why the run ended early; `None` when it did not.
    pub aborted: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_pacing_spun_is_taken_off_the_initiators_time_and_never_more_than_that() {
        let paced = |spun| CpuTime { host_ns: 174, ..CpuTime::default() }.without_pacing(spun);
        assert_eq!((paced(150).host_ns, paced(150).host_pacing_ns), (24, 150));
        assert_eq!((paced(200).host_ns, paced(200).host_pacing_ns), (0, 174));
    }

    #[test]
    fn a_storm_holds_as_many_intervals_as_rings_before_its_last() {
        let traffic = Traffic { sent: 500, seen: 7, last_seen: true, span_ns: 499_000_000, full: 0 };
        assert_eq!((traffic.within_span(Workload::Storm), traffic.within_span(Workload::Stream)), (499, 7));
    }
}
