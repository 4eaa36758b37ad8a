//! A cell: all blocks of one workload, size, wait mode and conditions, with their metrics.

use std::collections::BTreeMap;

use bench_model::raw::Traffic;
use bench_model::samples::{Row, Status};
use bench_model::units::{plural, thousands};
use bench_model::{Conditions, WaitMode, Workload};
use serde::{Deserialize, Serialize};

use super::cell_key::CellKey;
use super::cpu::Cpu;
use super::metric::Metric;
use statistics::{Interval, LegSummary, Summary, total};

/// All blocks of the same workload, size, wait modes and conditions. Metrics cover the operations that ended ok;
/// `failures` counts the others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Cell {
    /// The workload.
    pub workload: Workload,
    /// How both sides waited: `poll`, `irq`, or `host/guest` where they differ.
    pub mode: String,
    /// How the host waited.
    pub host_wait: WaitMode,
    /// How the guest waited.
    pub guest_wait: WaitMode,
    /// The guest's driver.
    pub driver: Option<String>,
    /// Bytes of payload per operation.
    pub size_bytes: u64,
    /// Conditions that distinguish it from other cells of its workload.
    #[serde(default)]
    pub conditions: Conditions,
    /// Operations that ended ok.
    pub n: u64,
    /// Operations that did not, by how they ended.
    pub failures: BTreeMap<Status, u64>,
    /// Messages: the round trip, from publishing the sequence number to the final acknowledgement (H5 − H2); in a storm
    /// that of the last message. Frames: end to end, from before the payload is written (H5 − H0). `None` for streams
    /// and idle cells, and if no operation ended ok.
    pub latency_ns: Option<Summary>,
    /// 95 % interval of the median by a block bootstrap. It accounts for drift between blocks and correlation within
    /// them; the intervals of the summary assume independent samples.
    #[serde(default)]
    pub p50_interval_ns: Option<Interval<u64>>,
    /// Noise floor: the factor by which halves of the cell's blocks may differ.
    #[serde(default)]
    pub noise_floor: Option<f64>,
    /// Corrected latency of paced and open loops, and of paced messages with busy threads: from the scheduled send time
    /// (H5 − due). It includes every delay before the sending, such as a late timer or a preemption of the sender.
    #[serde(default)]
    pub corrected_ns: Option<Summary>,
    /// 95 % interval of the median of `corrected_ns` by a block bootstrap.
    #[serde(default)]
    pub corrected_p50_interval_ns: Option<Interval<u64>>,
    /// The noise floor of `corrected_ns`.
    #[serde(default)]
    pub corrected_noise_floor: Option<f64>,
    /// Storms: doorbells rung per second. Streams: messages received per second. Open loops: messages acknowledged per
    /// second.
    #[serde(default)]
    pub messages_per_second: Option<f64>,
    /// Open loops: messages not sent before their block's time limit. No other metric includes them, so `corrected_ns`
    /// depends on the time limit.
    #[serde(default)]
    pub unsent: Option<u64>,
    /// Open loops: share of all messages that were sent before the last one was scheduled. Far below 1, the offered
    /// load exceeds the throughput.
    #[serde(default)]
    pub sent_in_time: Option<f64>,
    /// Storms and streams: messages sent and received.
    #[serde(default)]
    pub traffic: Option<Traffic>,
    /// The legs.
    pub legs_ns: Legs,
    /// Frames: size over the mean of `latency_ns`. Streams: bytes received per second.
    pub bytes_per_second: Option<f64>,
    /// Frames: size over the mean of each phase.
    pub phase_bytes_per_second: Option<PhaseRates>,
    /// Bytes whose hash the guest confirmed.
    pub bytes_verified: u64,
    /// CPU time and context switches.
    pub cpu: Cpu,
    /// Events, warm-up included.
    pub counters: CellCounters,
}

/// A cell's latencies by a metric that has a median.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Latencies<'a> {
    /// Nanoseconds.
    pub ns: &'a Summary,
    /// 95 % interval of the median by a block bootstrap.
    pub p50_interval_ns: Option<Interval<u64>>,
    /// Noise floor.
    pub noise_floor: Option<f64>,
}

impl Latencies<'_> {
    /// 95 % interval of the median: by the block bootstrap, which includes drift between blocks, or from order
    /// statistics.
    #[must_use]
    pub fn p50_interval(&self) -> Option<Interval<u64>> {
        self.p50_interval_ns.or(self.ns.intervals.p50)
    }
}

/// The legs of an operation. `None`: not stamped, or, for the one-way legs (inject, notify, ack, answer), only in blocks over
/// which the clocks' offset was not stable.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Legs {
    /// H1 − H0: the host writes the payload.
    pub write: Option<LegSummary>,
    /// H3 − H2: the sender's cost of publishing and ringing.
    pub ring: Option<LegSummary>,
    /// G0 − H2: interrupt injection, until the guest's interrupt handler is entered.
    #[serde(default)]
    pub inject: Option<LegSummary>,
    /// G1 − G0: wake-up, from the interrupt handler until the guest's user space detects the message.
    #[serde(default)]
    pub wake: Option<LegSummary>,
    /// G1 − H2: until the guest detects the message; `inject` and `wake` together.
    pub notify: Option<LegSummary>,
    /// H4 − G2: until the host detects RECEIVED.
    pub ack: Option<LegSummary>,
    /// G3 − G2: the guest reads the payload.
    pub read: Option<LegSummary>,
    /// G4 − G3: the guest computes SHA-256.
    pub verify: Option<LegSummary>,
    /// G5 − G1 without `read` and `verify`: the guest's other work before the acknowledgement.
    #[serde(default)]
    pub handle: Option<LegSummary>,
    /// H5 − G5: until the host detects the final acknowledgement.
    pub answer: Option<LegSummary>,
}

/// A leg.
#[derive(Debug, Clone, Copy)]
pub struct Leg {
    /// Its name in the document.
    pub name: &'static str,
    /// Its explanation.
    pub about: &'static str,
    /// Its value in a row.
    pub value: LegValue,
    /// Its summary in a cell.
    pub of: fn(&Legs) -> &Option<LegSummary>,
}

/// The value of a leg, in nanoseconds.
#[derive(Debug, Clone, Copy)]
pub enum LegValue {
    /// Both ends are on one clock.
    Local(fn(&Row) -> Option<u64>),
    /// From one clock to the other.
    OneWay(fn(&Row) -> Option<i64>),
}

/// Every leg, in the order of [`Legs`].
pub const LEGS: [Leg; 10] = {
    use LegValue::{Local, OneWay};
    const fn leg(
        name: &'static str,
        about: &'static str,
        value: LegValue,
        of: fn(&Legs) -> &Option<LegSummary>,
    ) -> Leg {
        Leg { name, about, value, of }
    }
    [
        leg("write", "the host writes the payload", Local(|row| row.write_ns), |legs| &legs.write),
        leg("ring", "publishing and ringing, cost for the sender", Local(|row| row.ring_ns), |legs| &legs.ring),
        leg("inject", "interrupt injection: until IRQ entry in the guest", OneWay(|row| row.inject_ns), |legs| {
            &legs.inject
        }),
        leg("wake", "wake-up: from IRQ entry until the guest's program runs", Local(|row| row.wake_ns), |legs| {
            &legs.wake
        }),
        leg(
            "notify",
            "until the guest's program sees the message: inject + wake",
            OneWay(|row| row.notify_ns),
            |legs| &legs.notify,
        ),
        leg("ack", "until the host sees RECEIVED", OneWay(|row| row.ack_ns), |legs| &legs.ack),
        leg("read", "the guest reads the payload", Local(|row| row.read_ns), |legs| &legs.read),
        leg("verify", "the guest computes SHA-256", Local(|row| row.verify_ns), |legs| &legs.verify),
        leg("handle", "other work of the guest before the acknowledgement", Local(|row| row.handle_ns), |legs| {
            &legs.handle
        }),
        leg(
            "answer",
            "from the guest's last acknowledgement until the host sees it",
            OneWay(|row| row.answer_ns),
            |legs| &legs.answer,
        ),
    ]
};

impl Legs {
    /// Calls `summary` for each leg.
    #[must_use]
    pub fn from_fn(summary: impl FnMut(Leg) -> Option<LegSummary>) -> Self {
        let [write, ring, inject, wake, notify, ack, read, verify, handle, answer] = LEGS.map(summary);
        Self { write, ring, inject, wake, notify, ack, read, verify, handle, answer }
    }
}

/// Speed of a frame's phases in bytes per second.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PhaseRates {
    /// The host's write.
    pub write: Option<f64>,
    /// The guest's read.
    pub read: Option<f64>,
    /// The guest's SHA-256.
    pub verify: Option<f64>,
}

/// Events of a cell's blocks, warm-up included. `None`: not available in at least one block.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct CellCounters {
    /// Doorbells that the host rang.
    pub rings: u64,
    /// Interrupts of the device in the guest.
    pub interrupts: Option<u64>,
    /// Events that the guest's driver reported.
    pub uio_events: Option<u64>,
    /// Times that a side blocked: `guest_waits` and `host_waits` together.
    pub wakeups: u64,
    /// Coalesced doorbells: rings minus interrupts.
    pub coalesced: Option<u64>,
    /// Waits that ended by timeout although the message was there, both sides.
    pub deadline_wakeups: u64,
    /// Doorbells that the guest rang.
    pub guest_rings: u64,
    /// Events that the host read.
    pub host_events: u64,
    /// Times the guest blocked.
    pub guest_waits: u64,
    /// Times the host blocked.
    pub host_waits: u64,
    /// Messages that the guest found after arming.
    pub guest_found_armed: u64,
    /// Acknowledgements that the host found after arming.
    pub host_found_armed: u64,
    /// Acknowledgements with a wrong sequence number.
    pub stale_acks: u64,
    /// Waits whose event never arrived.
    pub lost_wakeups: u64,
}

impl CellCounters {
    /// For instance `20,000 doorbells coalesced into 39 interrupts (513:1)`.
    #[must_use]
    pub fn coalescing(&self, interrupts: u64) -> String {
        let ratio = self.rings.checked_div(interrupts);
        let ratio = ratio.map_or_else(String::new, |ratio| format!(" ({}:1)", thousands(ratio)));
        format!("{} coalesced into {}{ratio}", plural(self.rings, "doorbell"), plural(interrupts, "interrupt"))
    }

    /// Whether any event was counted.
    #[must_use]
    pub fn has_events(&self) -> bool {
        let or_zero = |count: Option<u64>| Some(count.unwrap_or(0));
        let Self { interrupts, uio_events, coalesced, .. } = *self;
        let [interrupts, uio_events, coalesced] = [interrupts, uio_events, coalesced].map(or_zero);
        let none = Self { interrupts: Some(0), uio_events: Some(0), coalesced: Some(0), ..Self::default() };
        Self { interrupts, uio_events, coalesced, ..self.clone() } != none
    }
}

impl Cell {
    /// Its key.
    #[must_use]
    pub fn key(&self) -> CellKey {
        let &Self { workload, size_bytes, conditions, host_wait, guest_wait, .. } = self;
        CellKey { workload, size_bytes, conditions, host_wait, guest_wait }
    }

    /// Operations that did not end ok. Saturates: a document may hold any number.
    #[must_use]
    pub fn failed(&self) -> u64 {
        total(self.failures.values().copied())
    }

    /// The metric by which it is compared: that of its workload, if its table has it.
    #[must_use]
    pub fn metric(&self) -> Metric {
        match Metric::for_workload(self.workload, &self.conditions) {
            Metric::CorrectedLatency if self.corrected_ns.is_none() && self.latency_ns.is_some() => Metric::Latency,
            figure => figure,
        }
    }

    /// The metric by which it is compared with another cell of its workload. Tables of earlier versions lack scheduled
    /// send times; if one cell comes from such a table, round trips are compared.
    #[must_use]
    pub fn common_metric(&self, other: &Self) -> Metric {
        let (this, other) = (self.metric(), other.metric());
        if this == other { this } else { Metric::Latency }
    }

    /// Its latencies by its metric. `None` for streams and idle cells, and if no operation ended ok.
    #[must_use]
    pub fn latencies(&self) -> Option<Latencies<'_>> {
        self.latencies_by(self.metric())
    }

    /// Its latencies by a given metric.
    #[must_use]
    pub fn latencies_by(&self, figure: Metric) -> Option<Latencies<'_>> {
        match figure {
            Metric::Latency => Some(Latencies {
                ns: self.latency_ns.as_ref()?,
                p50_interval_ns: self.p50_interval_ns,
                noise_floor: self.noise_floor,
            }),
            Metric::CorrectedLatency => Some(Latencies {
                ns: self.corrected_ns.as_ref()?,
                p50_interval_ns: self.corrected_p50_interval_ns,
                noise_floor: self.corrected_noise_floor,
            }),
            Metric::TimePerMessage | Metric::BusyCores => None,
        }
    }
}
