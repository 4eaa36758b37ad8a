//! Context switches and hardware counters of the measured threads.

use serde::{Deserialize, Serialize};

/// Context switches of a thread, or of several together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Switches {
    /// Voluntary: the thread blocked and was woken.
    pub voluntary: u64,
    /// Involuntary: the thread was preempted.
    pub involuntary: u64,
}

impl Switches {
    /// Those that came after `before`.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        Self {
            voluntary: self.voluntary.saturating_sub(before.voluntary),
            involuntary: self.involuntary.saturating_sub(before.involuntary),
        }
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            voluntary: self.voluntary.saturating_add(other.voluntary),
            involuntary: self.involuntary.saturating_add(other.involuntary),
        }
    }
}

/// Context switches of all measured threads. `None`: unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ContextSwitches {
    /// The initiator's thread (`getrusage(2)` of the thread).
    pub host: Option<Switches>,
    /// All virtual CPUs together (`/proc/PID/task/TID/status`).
    pub vcpus: Option<Switches>,
    /// QEMU's main loop (the same file of its thread).
    pub main_loop: Option<Switches>,
}

impl ContextSwitches {
    /// Preemptions of initiator and vCPUs.
    #[must_use]
    pub fn preemptions(&self) -> Option<u64> {
        Some(self.host?.involuntary.saturating_add(self.vcpus?.involuntary))
    }
}

/// Counters of one thread's group (`perf_event_open(2)`). If the group shared the hardware with others, it ran for part
/// of the time and counts cover that part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct HardwareCounts {
    /// Processor cycles.
    pub cycles: Option<u64>,
    /// Instructions retired.
    pub instructions: Option<u64>,
    /// Loads that missed the first level's data cache.
    pub l1d_misses: Option<u64>,
    /// Loads that missed the last level's cache.
    pub llc_misses: Option<u64>,
    /// Loads whose translation missed the first data TLB.
    pub dtlb_misses: Option<u64>,
    /// Context switches over the same time as the other counters.
    pub context_switches: Option<u64>,
    /// Nanoseconds for which the thread ran with the group switched on.
    pub enabled_ns: u64,
    /// Nanoseconds of these for which the group had the processor's counters.
    pub running_ns: u64,
    /// Whether kernel mode is counted.
    pub with_kernel: bool,
}

impl HardwareCounts {
    /// Share of the time for which the group counted, from 0 to 1; `None`: the thread did not run.
    #[must_use]
    pub fn share(&self) -> Option<f64> {
        (self.enabled_ns > 0).then(|| self.running_ns as f64 / self.enabled_ns as f64)
    }
}

/// Counters of the observed threads. `None`: not observed; [`RawRun::perf_missing`] has the reason.
///
/// [`RawRun::perf_missing`]: crate::raw::RawRun::perf_missing
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PerfTime {
    /// The initiator's thread.
    pub host: Option<HardwareCounts>,
    /// The first virtual CPU's thread; under KVM the guest's own instructions are in it.
    pub vcpu: Option<HardwareCounts>,
}
