//! Findings over several cells: break-even rates, latency with busy threads, capacity.

use bench_model::{Arrivals, WaitMode};
use serde::{Deserialize, Serialize};

use statistics::Change;

/// Findings over several cells. A list is empty if its cells were not measured.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Findings {
    /// Break-even rates of blocking. Not defined for hybrid, which costs as much as polling at high rates, and as much
    /// as blocking at low ones.
    pub break_even: Vec<BreakEven>,
    /// Polling and blocking with busy threads.
    pub contention: Vec<ContentionResult>,
    /// Capacity per wait mode and distribution of send times.
    pub capacity: Vec<Capacity>,
    /// The host's copy speed over the guest's, private memory, largest size: near 1 under KVM, far above under
    /// emulation.
    pub copy_host_over_guest: Option<f64>,
}

/// The rate below which blocking takes less CPU time than polling.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct BreakEven {
    /// The wait mode.
    pub mode: String,
    /// Cores in use by polling while idle.
    pub polling_cores: f64,
    /// Cores in use by this mode while idle.
    pub idle_cores: f64,
    /// CPU time per operation, all threads, back to back.
    pub us_per_op: f64,
    /// Operations per second at which both modes use the same number of cores. Cores in use by this mode are
    /// interpolated between idle, paced and back to back, and extrapolated beyond from the cost back to back.
    pub rate_per_s: f64,
    /// Throughput of this mode back to back. A break-even rate above it: always cheaper.
    pub fastest_per_s: f64,
}

impl BreakEven {
    /// Whether it takes less CPU time at every rate up to its throughput.
    #[must_use]
    pub fn is_always_cheaper(&self) -> bool {
        self.rate_per_s >= self.fastest_per_s
    }
}

/// Medians and means with busy threads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "Contended"))]
pub struct ContentionResult {
    /// Busy threads.
    pub busy_threads: u32,
    /// Whether both sides shared one core.
    #[serde(rename = "one_core")]
    pub shared_core: bool,
    /// The gap between messages; `None`: back to back.
    pub gap_ns: Option<u64>,
    /// Polling's median; corrected latency if paced.
    pub poll_p50_ns: u64,
    /// Blocking's median, likewise.
    pub irq_p50_ns: u64,
    /// The outcome for blocking. Noise may explain even a large difference of medians.
    #[serde(default)]
    pub word: Change,
    /// Polling's mean. A poller acknowledges immediately or after other threads had its core; the mean covers both
    /// cases.
    #[serde(default)]
    pub poll_mean_ns: Option<u64>,
    /// Blocking's mean, likewise.
    #[serde(default)]
    pub irq_mean_ns: Option<u64>,
    /// The outcome for blocking by the means.
    #[serde(default)]
    pub mean_word: Change,
}

impl ContentionResult {
    /// The mode whose mean is significantly lower; `None`: neither.
    #[must_use]
    pub fn lower_mean(&self) -> Option<WaitMode> {
        better_mode(self.mean_word)
    }

    /// The mode whose median is significantly lower; `None`: neither.
    #[must_use]
    pub fn faster(&self) -> Option<WaitMode> {
        better_mode(self.word)
    }
}

/// Converts an outcome for blocking into the better mode.
fn better_mode(irq: Change) -> Option<WaitMode> {
    match irq {
        Change::Faster => Some(WaitMode::Irq),
        Change::Slower => Some(WaitMode::Poll),
        Change::NotSignificant | Change::Inconclusive => None,
    }
}

/// The highest offered load up to which every conclusive rate was sent in time with p99 below the limit. A higher rate
/// that passes above one that failed does not count. A rate with too few messages for a p99 is inconclusive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Capacity {
    /// The wait mode.
    pub mode: String,
    /// Distribution of the scheduled send times.
    pub arrivals: Arrivals,
    /// The limit of the corrected p99.
    pub p99_limit_ns: u64,
    /// Messages per second; `None`: the lowest conclusive rate failed, or every rate is inconclusive.
    pub rate_per_s: Option<u64>,
    /// The highest offered load.
    pub offered_per_s: u64,
    /// Rates with too few messages for a p99 (1,000), below the lowest one that failed.
    #[serde(default)]
    pub not_judged_per_s: Vec<u64>,
}
