//! CPU time of a thread.

use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};
use perf_event::events::Software;
use perf_event::{Builder, Counter};

use super::proc_file::ProcFile;

/// Source of the CPU time of another thread.
pub(super) enum CpuClock {
    /// perf's task clock: always up to date.
    Perf(Counter),
    /// Updated when the thread is scheduled, up to a tick old; for machines that forbid perf.
    Schedstat(ProcFile),
    /// The thread does not exist.
    Unknown,
}

impl CpuClock {
    pub(super) fn of(pid: u32, tid: u32) -> Self {
        let counter = Builder::new(Software::TASK_CLOCK).observe_pid(tid.cast_signed()).exclude_kernel(true).build();
        let enabled = counter.and_then(|mut counter| counter.enable().map(|()| counter));
        let schedstat = || ProcFile::open(&format!("/proc/{pid}/task/{tid}/schedstat"));
        enabled.map_or_else(|_| schedstat().map_or(Self::Unknown, Self::Schedstat), Self::Perf)
    }

    /// CPU time so far.
    pub(super) fn read(&mut self) -> Option<CpuTimeSample> {
        let asked = Instant::now();
        let ns = match self {
            Self::Perf(counter) => counter.read().ok()?,
            // The first number is CPU time in nanoseconds.
            Self::Schedstat(file) => file.text()?.split_whitespace().next()?.parse().ok()?,
            Self::Unknown => return None,
        };
        // The value dates from some time in between: the kernel may have to ask another CPU.
        Some(CpuTimeSample { ns, at: asked + asked.elapsed() / 2 })
    }
}

/// CPU time of a thread at one time.
pub(super) struct CpuTimeSample {
    pub(super) ns: u64,
    pub(super) at: Instant,
}

impl CpuTimeSample {
    /// CPU time since `before`, scaled to the interval of `wall`. Reading another thread's clock takes microseconds
    /// before and after the interval. Without scaling, a polling vCPU would use more than 100 % of a short block.
    pub(super) fn within(&self, wall: Duration, before: &Self) -> u64 {
        let (ns, window) = (self.ns.saturating_sub(before.ns), self.at.duration_since(before.at));
        if window <= wall {
            return ns;
        }
        let share = u128::from(ns) * wall.as_nanos() / window.as_nanos();
        u64::try_from(share).unwrap_or(ns)
    }
}

/// CPU time of the calling thread, in nanoseconds.
pub(super) fn own() -> u64 {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Into::into);
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
