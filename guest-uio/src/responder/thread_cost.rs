//! CPU time and context switches of the calling thread, which show whether it slept.

use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use nix::time::{ClockId, clock_gettime};

/// Totals since the thread's start, or differences: see [`ThreadCost::since`].
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ThreadCost {
    /// Voluntary context switches (getrusage(2), `ru_nvcsw`).
    pub(super) voluntary_switches: u64,
    /// CPU time in nanoseconds.
    pub(super) cpu_ns: u64,
}

impl ThreadCost {
    /// Totals since the thread's start.
    pub(super) fn now() -> Self {
        let voluntary_switches =
            getrusage(UsageWho::RUSAGE_THREAD).map_or(0, |usage| usage.voluntary_context_switches());
        let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Into::into);
        Self {
            voluntary_switches: voluntary_switches.unsigned_abs(),
            cpu_ns: u64::try_from(time.as_nanos()).unwrap_or(u64::MAX),
        }
    }

    /// Differences to this earlier value.
    pub(super) fn since(self) -> Self {
        let now = Self::now();
        Self { voluntary_switches: now.voluntary_switches - self.voluntary_switches, cpu_ns: now.cpu_ns - self.cpu_ns }
    }
}
