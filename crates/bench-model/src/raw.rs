//! The raw result of a run, block by block (`measured.json`). The operations are in [`samples`](crate::samples).

use serde::{Deserialize, Serialize};

use crate::pinning::Pinning;
use crate::plan::Block;
use crate::thread_usage::{ContextSwitches, PerfTime};
use crate::workload::{Exchange, Workload};

/// Facts reported by the guest. Untrusted: shown, never relied on.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct GuestFacts {
    /// The driver bound to the device.
    pub driver: String,
    /// How the guest mapped BAR2.
    pub bar2_map: String,
    /// Whether caches answer loads from BAR2.
    pub bar2_cached: Option<bool>,
    /// Duration of a load from BAR2 that depends on the previous load, in nanoseconds.
    pub bar2_ns_per_load: Option<f64>,
    /// Gigabytes (10⁹) per second that the guest copies out of BAR2.
    pub bar2_read_gb_per_s: Option<f64>,
    /// The same with streaming loads.
    pub bar2_streaming_read_gb_per_s: Option<f64>,
    /// Gigabytes (10⁹) per second that the guest copies into BAR2.
    pub bar2_write_gb_per_s: Option<f64>,
    /// The running kernel's release.
    pub kernel: String,
    /// The guest kernel's clock source.
    pub clocksource: String,
    /// Online CPUs of the guest.
    pub cpus: u32,
    /// The processor that the guest sees.
    pub cpu_model: String,
    /// The kernel's command line.
    pub command_line: String,
    /// Steal time since the guest's boot, in per cent.
    pub steal_percent: Option<f64>,
    /// Whether doorbells reach the guest's user space.
    pub interrupts: bool,
    /// Why not, with a hint; empty if they do.
    pub interrupts_missing: String,
}

/// Counters of one block. `None`: not available in the guest.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Counters {
    /// Doorbells that the host rang.
    pub rings: u64,
    /// CPU time of the responder's thread, in nanoseconds of the guest's clock.
    pub guest_cpu_ns: u64,
    /// Interrupts of the device, from the guest's /proc/interrupts.
    pub interrupts: Option<u64>,
    /// Events that the guest's driver reported through its descriptor.
    pub uio_events: Option<u64>,
    /// Times the guest blocked.
    pub guest_waits: u64,
    /// Messages that the guest found while spinning, before arming.
    pub guest_found_spinning: u64,
    /// Messages that the guest found after arming, without blocking.
    pub guest_found_armed: u64,
    /// Waits of the guest that ended by timeout although the message was there.
    pub guest_deadline_wakeups: u64,
    /// Doorbells that the guest rang.
    pub guest_rings: u64,
    /// Events that the host read from its eventfd.
    pub host_events: u64,
    /// Times the host blocked.
    pub host_waits: u64,
    /// Acknowledgements that the host found while spinning, before arming.
    pub host_found_spinning: u64,
    /// Acknowledgements that the host found after arming, without blocking.
    pub host_found_armed: u64,
    /// Waits of the host that ended by timeout although the acknowledgement was there.
    pub host_deadline_wakeups: u64,
    /// Acknowledgements with another sequence number than the expected one.
    pub stale_acks: u64,
    /// Doorbells of the host that did not reach the guest within a second after their message.
    pub guest_lost_wakeups: u64,
    /// Doorbells of the guest that did not reach the host within a second after their acknowledgement.
    pub host_lost_wakeups: u64,
    /// Voluntary context switches of the responder's thread, as the guest reports them.
    pub guest_yields: u64,
    /// Messages of a stream with wrong content.
    pub mismatches: u64,
}

impl Counters {
    /// Times that a side blocked.
    #[must_use]
    pub fn waits(&self) -> u64 {
        self.guest_waits.saturating_add(self.host_waits)
    }

    /// Waits of both sides that ended by timeout although the message was there.
    #[must_use]
    pub fn deadline_wakeups(&self) -> u64 {
        self.guest_deadline_wakeups.saturating_add(self.host_deadline_wakeups)
    }

    /// Lost doorbells of both directions.
    #[must_use]
    pub fn lost_wakeups(&self) -> u64 {
        self.guest_lost_wakeups.saturating_add(self.host_lost_wakeups)
    }
}

/// Messages of a storm or a stream, where operations do not wait for each other.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Traffic {
    /// Messages that the host published.
    pub sent: u64,
    /// Messages that the guest read. Streams: every message. Storms: the newest message at each wake-up.
    pub seen: u64,
    /// Whether the guest read the last message, as it reports.
    pub last_seen: bool,
    /// Duration in nanoseconds. Streams: from before the first message to after the last acknowledgement. Storms: from
    /// the first ring to the last one, which is not part of the duration.
    pub span_ns: u64,
    /// Times the host waited because the ring was full: its first check found no free slot.
    pub full: u64,
}

impl Traffic {
    /// Number of messages within `span_ns`. Storms: rings, without the last one, which ends the span. Streams: messages
    /// that the guest read.
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
    /// SHA-256 of the shared region, copied out in chunks of 4 KiB. Bytes that the other side may change cannot be
    /// hashed in place.
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

/// Instrument overhead: the cost of an empty operation, which the initiator acknowledges itself.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Overhead {
    /// Median round trip of an empty operation, in nanoseconds. It is part of every round trip.
    pub empty_operation_ns: f64,
    /// Mean time from one empty operation to the next, in nanoseconds. It includes the work between two round trips.
    pub per_operation_ns: f64,
}

/// CPU time of a block's measured operations in nanoseconds, without the generation and check of frames on the host.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CpuTime {
    /// The initiator's thread, without `host_pacing_ns`.
    pub host_ns: u64,
    /// All virtual CPUs together. `None`: the plan names no virtual CPU.
    pub vcpu_ns: Option<u64>,
    /// QEMU's main loop.
    pub main_loop_ns: Option<u64>,
    /// Each virtual CPU, in the plan's order. Empty if `vcpu_ns` is `None`.
    #[serde(default)]
    pub vcpus_ns: Vec<u64>,
    /// Context switches during the same time.
    #[serde(default)]
    pub switches: ContextSwitches,
    /// Hardware counters during the same time.
    #[serde(default)]
    pub perf: PerfTime,
    /// Time that a blocking initiator spins before scheduled send times, to send on time. It is instrument overhead and
    /// not part of `host_ns`.
    #[serde(default)]
    pub host_pacing_ns: u64,
}

impl CpuTime {
    /// Subtracts the spin time of pacing from the initiator's time. The result is at least 0.
    #[must_use]
    pub fn without_pacing(mut self, spun_ns: u64) -> Self {
        self.host_pacing_ns = spun_ns.min(self.host_ns);
        self.host_ns -= self.host_pacing_ns;
        self
    }
}

/// Clock offset before and after a block, from clock handshakes.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ClockFit {
    /// Guest minus host before the block, in nanoseconds.
    pub before_ns: f64,
    /// Guest minus host after the block, in nanoseconds.
    pub after_ns: f64,
    /// Error bound of both offsets, plus or minus: half of the shortest handshake's round trip, the larger of both
    /// values.
    pub bound_ns: f64,
}

impl ClockFit {
    /// Whether one-way latencies are valid: both measurements may show the same offset. Each has an error of at most
    /// the bound, so they differ by at most twice the bound if the offset did not change.
    #[must_use]
    pub fn is_stable(&self) -> bool {
        self.moved_ns() <= 2.0 * self.bound_ns
    }

    /// How far the offset changed.
    #[must_use]
    pub fn moved_ns(&self) -> f64 {
        (self.after_ns - self.before_ns).abs()
    }
}

/// The guest's acknowledgement of the deliberately corrupted frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CorruptAnswer {
    /// ERROR(hash), the correct one.
    Refused,
    /// PROCESSED: the guest does not verify.
    Accepted,
    /// Another one, or none.
    Other,
}

/// A thread's CPU affinity and last CPU, at the end of a block.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ThreadAffinity {
    /// The CPUs on which it may run.
    pub allowed: Vec<usize>,
    /// The CPU on which it last ran. `None`: not available.
    pub last_cpu: Option<usize>,
}

/// CPU affinity of a block's threads. `None`: the thread could not be observed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct BlockPlacement {
    /// The requested affinity.
    pub wanted: Pinning,
    /// The initiator.
    pub host: Option<ThreadAffinity>,
    /// Each virtual CPU, in order.
    pub vcpus: Vec<Option<ThreadAffinity>>,
    /// QEMU's main loop.
    pub main_loop: Option<ThreadAffinity>,
}

/// The raw result of one block.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RawBlock {
    /// The block of the plan.
    pub block: Block,
    /// Wall time of the measured operations in nanoseconds, without the generation of frames.
    pub wall_ns: u64,
    /// Operations measured, failed ones included.
    pub operations: u64,
    /// Events over the whole block, warm-up included.
    pub counters: Counters,
    /// CPU time of the measured operations.
    pub cpu: CpuTime,
    /// The clock offset.
    pub clock: ClockFit,
    /// Set if the block has a deliberately corrupted frame.
    pub corrupt_answer: Option<CorruptAnswer>,
    /// Bytes of measured frames whose hash the guest confirmed, and of a stream's intact messages.
    pub bytes_verified: u64,
    /// Set for storms and streams.
    #[serde(default)]
    pub traffic: Option<Traffic>,
    /// Open loops: scheduled messages that were not sent before the block's time limit. No other metric includes them.
    #[serde(default)]
    pub unsent: u64,
    /// CPU affinity of the threads. `None`: not observed.
    #[serde(default)]
    pub placement: Option<BlockPlacement>,
    /// Time for which the machine was suspended during the operations, in nanoseconds.
    #[serde(default)]
    pub suspended_ns: u64,
}

impl RawBlock {
    /// Number of its rows in `samples.csv`: 0 for streams and idle blocks, 1 for a storm (its last message).
    #[must_use]
    pub fn rows(&self) -> u64 {
        match self.block.workload.exchange() {
            Exchange::Stream | Exchange::Idle => 0,
            Exchange::Storm => 1,
            Exchange::Messages | Exchange::Frames => self.operations,
        }
    }
}

/// The raw result of a run. The default is empty.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct RawRun {
    /// Facts reported by the guest.
    pub guest: GuestFacts,
    /// Frequency of the host's time stamp counter, in Hz.
    pub tsc_hz: f64,
    /// The host's peer id.
    pub host_peer: u16,
    /// The guest's peer id.
    pub guest_peer: u16,
    /// Spin time of hybrid waits, in nanoseconds; `None`: the run has no hybrid waits.
    #[serde(default)]
    pub spin_ns: Option<u64>,
    /// Hardware counters that were not available, with the reason. `None`: all were available, or none was requested.
    #[serde(default)]
    pub perf_missing: Option<String>,
    /// Size of the shared memory.
    pub memory_bytes: u64,
    /// Peak bandwidth of both sides, by size.
    #[serde(default)]
    pub ceilings: Vec<PeakBandwidths>,
    /// Instrument overhead.
    #[serde(default)]
    pub overhead: Option<Overhead>,
    /// Finished blocks, in order.
    pub blocks: Vec<RawBlock>,
    /// Why the run ended early; `None` if it did not.
    pub aborted: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pacing_time_is_subtracted_from_host_time_down_to_zero() {
        let paced = |spun| CpuTime { host_ns: 174, ..CpuTime::default() }.without_pacing(spun);
        assert_eq!((paced(150).host_ns, paced(150).host_pacing_ns), (24, 150));
        assert_eq!((paced(200).host_ns, paced(200).host_pacing_ns), (0, 174));
    }

    #[test]
    fn storm_has_one_interval_fewer_than_rings() {
        let traffic = Traffic { sent: 500, seen: 7, last_seen: true, span_ns: 499_000_000, full: 0 };
        assert_eq!((traffic.within_span(Workload::Storm), traffic.within_span(Workload::Stream)), (499, 7));
    }
}
