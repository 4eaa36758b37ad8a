//! CPU time, context switches and hardware counters per operation.

use serde::{Deserialize, Serialize};

/// CPU time of the measured operations, failed ones included. `None`: not known.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Cpu {
    /// The initiator's thread, per operation.
    pub host_us_per_op: Option<f64>,
    /// All virtual CPUs, per operation.
    pub vcpu_us_per_op: Option<f64>,
    /// QEMU's main loop, per operation.
    pub main_loop_us_per_op: Option<f64>,
    /// Cores in use: CPU time of all three over the wall time.
    pub cores: Option<f64>,
    /// Each virtual CPU by itself, per operation. Empty: not known.
    #[serde(default)]
    pub vcpus_us_per_op: Vec<f64>,
    /// Voluntary context switches per operation: a thread blocked and was woken.
    #[serde(default)]
    pub switches_per_op: SwitchesPerOp,
    /// Times that a side blocked, both sides together, per operation (warm-up included).
    #[serde(default)]
    pub wakeups_per_op: Option<f64>,
    /// Hardware counters. `None`: none; the environment's `perf_missing` has the reason.
    #[serde(default)]
    pub perf: Option<PerfPerOp>,
}

impl Cpu {
    /// All three together, per operation. `None` if one of them is not known.
    #[must_use]
    pub fn total_us_per_op(&self) -> Option<f64> {
        Some(self.host_us_per_op? + self.vcpu_us_per_op? + self.main_loop_us_per_op?)
    }
}

/// Voluntary context switches per measured operation, failed ones included. `None`: not known.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct SwitchesPerOp {
    /// The initiator's thread.
    pub host: Option<f64>,
    /// All virtual CPUs together.
    pub vcpu: Option<f64>,
    /// QEMU's main loop.
    pub main_loop: Option<f64>,
}

/// Hardware counters per thread. `None`: not observed.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct PerfPerOp {
    /// The initiator's thread.
    pub host: Option<ThreadCounts>,
    /// The first virtual CPU's thread; under KVM the guest's own instructions are in it.
    pub vcpu: Option<ThreadCounts>,
}

/// One thread's counts per measured operation. If the group had the hardware for part of the time, they are scaled to
/// the whole time. `None`: the machine lacks this counter.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct ThreadCounts {
    /// Processor cycles.
    pub cycles: Option<f64>,
    /// Instructions retired.
    pub instructions: Option<f64>,
    /// Instructions over cycles; not per operation.
    pub instructions_per_cycle: Option<f64>,
    /// Loads that missed the first level's data cache.
    pub l1d_misses: Option<f64>,
    /// Loads that missed the last level's cache.
    pub llc_misses: Option<f64>,
    /// Loads whose translation missed the first data TLB.
    pub dtlb_misses: Option<f64>,
    /// Context switches, voluntary or not.
    pub context_switches: Option<f64>,
    /// Share of the time for which the group counted, from 0 to 1. Below 1, the counts are scaled.
    pub counted_share: f64,
    /// Whether kernel mode is counted.
    pub with_kernel: bool,
}
