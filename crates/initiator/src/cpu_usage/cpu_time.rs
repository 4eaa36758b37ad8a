//! How long a thread has been on a CPU.

use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};
use perf_event::events::Software;
use perf_event::{Builder, Counter};

use super::proc_file::ProcFile;

/// Where another process's thread's time is read.
pub(super) enum CpuClock {
    /// perf's task clock: up to date whenever it is read.
    Perf(Counter),
    /// Only as fresh as the thread's last scheduling, up to a tick old; for machines that forbid perf.
    Schedstat(ProcFile),
    /// There is no such thread.
    Unknown,
}

impl CpuClock {
    pub(super) fn of(pid: u32, tid: u32) -> Self {
        let counter = Builder::new(Software::TASK_CLOCK).observe_pid(tid.cast_signed()).exclude_kernel(true).build();
        let enabled = counter.and_then(|mut counter| counter.enable().map(|()| counter));
        let schedstat = || ProcFile::open(&format!("/proc/{pid}/task/{tid}/schedstat"));
        enabled.map_or_else(|_| schedstat().map_or(Self::Unknown, Self::Schedstat), Self::Perf)
    }

    /// How long the thread has been on a CPU by now.
    pub(super) fn read(&mut self) -> Option<CpuTimeSample> {
        let asked = Instant::now();
        let ns = match self {
            Self::Perf(counter) => counter.read().ok()?,
            // The first number is nanoseconds on a CPU.
            Self::Schedstat(file) => file.text()?.split_whitespace().next()?.parse().ok()?,
            Self::Unknown => return None,
        };
        // The answer is of some moment in between: another CPU may have to be asked for it.
        Some(CpuTimeSample { ns, at: asked + asked.elapsed() / 2 })
    }
}

/// Nanoseconds that a thread had been on a CPU at one moment.
pub(super) struct CpuTimeSample {
    pub(super) ns: u64,
    pub(super) at: Instant,
}

impl CpuTimeSample {
    /// Nanoseconds on a CPU since `before`, of which the stretch of `wall` takes its share. Reading another thread's clock
    /// takes microseconds on either side of the stretch, and a virtual CPU that polls runs all the while: short blocks
    /// would else use more than all of it.
    pub(super) fn within(&self, wall: Duration, before: &Self) -> u64 {
        let (ns, window) = (self.ns.saturating_sub(before.ns), self.at.duration_since(before.at));
        if window <= wall {
            return ns;
        }
        let share = u128::from(ns) * wall.as_nanos() / window.as_nanos();
        u64::try_from(share).unwrap_or(ns)
    }
}

/// This thread's, to the nanosecond.
pub(super) fn own() -> u64 {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Into::into);
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
