//! Other load on the host, before and during the run.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Competition for the CPUs. `None`: not available.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct HostLoad {
    /// Load average of the minute before the run.
    pub load_average: Option<f64>,
    /// CPUs of the run in use by other processes just before the guest was started.
    pub busy_cpus: Option<f64>,
    /// Steal time of the run's CPUs during the run, in per cent.
    pub steal_percent: Option<f64>,
    /// Preemptions of initiator and vCPUs during measured operations, without contention blocks, where they are
    /// expected.
    pub involuntary_switches: Option<u64>,
    /// Other benchmarks on this machine that ran during the run, or a part of it.
    pub other_benchmarks: Vec<OtherBenchmark>,
}

/// A benchmark that ran at the same time.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct OtherBenchmark {
    /// Its process id.
    pub pid: u32,
    /// The CPUs that it used, as a CPU list of the kernel, such as `0-1`. Empty: not known.
    pub cpus: String,
}

/// Its description in messages.
impl fmt::Display for OtherBenchmark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.pid, self.cpus.as_str()) {
            (pid, "") => write!(f, "pid {pid} on unknown CPUs"),
            (pid, cpus) if cpus.parse::<usize>().is_ok() => write!(f, "pid {pid} on CPU {cpus}"),
            (pid, cpus) => write!(f, "pid {pid} on CPUs {cpus}"),
        }
    }
}
