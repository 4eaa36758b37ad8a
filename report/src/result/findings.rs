//! What several cells show together: break-even rates, latency with busy threads, capacity.

use bench_model::{Arrivals, WaitMode};
use serde::{Deserialize, Serialize};

use crate::stats::Change;

/// See the module. A list is empty where its cells were not measured.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Findings {
    /// Of blocking. Hybrid waiting has none: it costs as much as polling while messages come fast, and like blocking while
    /// they come slowly.
    pub break_even: Vec<BreakEven>,
    /// Polling and blocking beside other threads.
    pub contention: Vec<ContentionResult>,
    /// Per way to wait and kind of arrivals.
    pub capacity: Vec<Capacity>,
    /// The host's copy speed over the guest's, private memory, largest size: near 1 under healthy KVM, far above under
    /// emulation.
    pub copy_host_over_guest: Option<f64>,
}

/// The rate below which blocking takes less CPU time than spinning.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct BreakEven {
    /// The way to wait.
    pub mode: String,
    /// Cores that polling keeps busy while nothing comes.
    pub polling_cores: f64,
    /// Cores that this way keeps busy while nothing comes.
    pub idle_cores: f64,
    /// CPU time per operation, all threads, back to back.
    pub us_per_op: f64,
    /// Operations per second at which both cost the same: where the cores that this way keeps busy, idle, paced and back to
    /// back, reach those of polling, on straight lines between these. Beyond them, by the cost back to back.
    pub rate_per_s: f64,
    /// Operations per second that this way carries back to back. A break-even rate above it: it is always the cheaper one.
    pub fastest_per_s: f64,
}

impl BreakEven {
    /// Whether it takes less CPU time at every rate that it carries.
    #[must_use]
    pub fn is_always_cheaper(&self) -> bool {
        self.rate_per_s >= self.fastest_per_s
    }
}

/// Medians and means beside other threads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "Contended"))]
pub struct ContentionResult {
    /// Threads that only burn time.
    pub busy_threads: u32,
    /// Whether both sides shared one core.
    #[serde(rename = "one_core")]
    pub shared_core: bool,
    /// The gap between messages; `None`: back to back.
    pub gap_ns: Option<u64>,
    /// Polling's median; where messages are paced, from when they were due.
    pub poll_p50_ns: u64,
    /// Blocking's median, likewise.
    pub irq_p50_ns: u64,
    /// What may be said of blocking. Medians that lie far apart may still be such that noise explains them.
    #[serde(default)]
    pub word: Change,
    /// Polling's mean, likewise: a poller answers at once or after others had its core, and the mean weighs both.
    #[serde(default)]
    pub poll_mean_ns: Option<u64>,
    /// Blocking's mean, likewise.
    #[serde(default)]
    pub irq_mean_ns: Option<u64>,
    /// What may be said of blocking by the means.
    #[serde(default)]
    pub mean_word: Change,
}

impl ContentionResult {
    /// The way that is proved to take less time on average; `None`: neither is.
    #[must_use]
    pub fn lower_mean(&self) -> Option<WaitMode> {
        proved(self.mean_word)
    }

    /// The way that is proved to be the faster one; `None`: neither is.
    #[must_use]
    pub fn faster(&self) -> Option<WaitMode> {
        proved(self.word)
    }
}

/// What is said of blocking, as the way that it speaks for.
fn proved(of_irq: Change) -> Option<WaitMode> {
    match of_irq {
        Change::Faster => Some(WaitMode::Irq),
        Change::Slower => Some(WaitMode::Poll),
        Change::NotSignificant | Change::Inconclusive => None,
    }
}

/// The highest offered rate up to which every rate that can be judged was carried and kept below the limit. One that did by
/// chance above one that did not is none that can be relied on. A rate with too few messages for a p99 did neither.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Capacity {
    /// The way to wait.
    pub mode: String,
    /// When messages were due.
    pub arrivals: Arrivals,
    /// What p99, from when a message was due, had to stay below.
    pub p99_limit_ns: u64,
    /// Messages per second; `None`: of the rates that can be judged, the lowest did not keep below it, or there are none.
    pub rate_per_s: Option<u64>,
    /// The highest rate that was offered.
    pub offered_per_s: u64,
    /// Rates that had too few messages for a p99 (1,000), below the lowest one that did not keep the limit.
    #[serde(default)]
    pub not_judged_per_s: Vec<u64>,
}
