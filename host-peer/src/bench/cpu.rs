//! CPU time of the threads that take part, over the stretches that are measured.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};
use perf_event::events::Software;
use perf_event::{Builder, Counter};
use report::measured::CpuTime;
use report::plan::QemuThreads;

/// Where a thread's time is read.
enum Source {
    /// perf's task clock: up to date whenever it is read.
    Perf(Counter),
    /// Only as fresh as the thread's last scheduling, up to a tick old; for machines that forbid perf.
    Schedstat(PathBuf),
}

impl Source {
    fn of(pid: u32, tid: u32) -> Self {
        let counter = Builder::new(Software::TASK_CLOCK).observe_pid(tid.cast_signed()).exclude_kernel(true).build();
        let enabled = counter.and_then(|mut counter| counter.enable().map(|()| counter));
        enabled.map_or_else(|_| Self::Schedstat(format!("/proc/{pid}/task/{tid}/schedstat").into()), Self::Perf)
    }

    fn read(&mut self) -> Option<u64> {
        match self {
            Self::Perf(counter) => counter.read().ok(),
            // The first number is nanoseconds on a CPU.
            Self::Schedstat(path) => fs::read_to_string(path).ok()?.split_whitespace().next()?.parse().ok(),
        }
    }
}

/// Adds up the CPU time of all parties, and the time that passes, between `start` and `stop`.
pub(super) struct Meter {
    vcpus: Vec<Source>,
    main_loop: Option<Source>,
    started: Option<(CpuTime, Instant)>,
    cpu: CpuTime,
    wall: Duration,
}

impl Meter {
    pub(super) fn new(qemu: Option<&QemuThreads>) -> Self {
        Self {
            vcpus: qemu.iter().flat_map(|q| q.vcpus.iter().map(|tid| Source::of(q.pid, *tid))).collect(),
            main_loop: qemu.map(|q| Source::of(q.pid, q.pid)),
            started: None,
            cpu: CpuTime::default(),
            wall: Duration::ZERO,
        }
    }

    pub(super) fn start(&mut self) {
        self.started = Some((self.read(), Instant::now()));
    }

    pub(super) fn stop(&mut self) {
        let Some((before, start)) = self.started.take() else { return };
        self.wall += start.elapsed();
        let after = self.read();
        let spent = |after: Option<u64>, before: Option<u64>| after.zip(before).map(|(a, b)| a.saturating_sub(b));
        let plus = |sum: Option<u64>, part: Option<u64>| part.map(|part| sum.unwrap_or(0) + part);
        self.cpu.host_ns += after.host_ns.saturating_sub(before.host_ns);
        self.cpu.vcpu_ns = plus(self.cpu.vcpu_ns, spent(after.vcpu_ns, before.vcpu_ns));
        self.cpu.main_loop_ns = plus(self.cpu.main_loop_ns, spent(after.main_loop_ns, before.main_loop_ns));
    }

    /// What has been added up since the last call.
    pub(super) fn take(&mut self) -> (CpuTime, Duration) {
        self.started = None;
        (std::mem::take(&mut self.cpu), std::mem::take(&mut self.wall))
    }

    fn read(&mut self) -> CpuTime {
        let vcpus: Option<Vec<u64>> = self.vcpus.iter_mut().map(Source::read).collect();
        CpuTime {
            host_ns: own_time(),
            vcpu_ns: vcpus.filter(|all| !all.is_empty()).map(|all| all.iter().sum()),
            main_loop_ns: self.main_loop.as_mut().and_then(Source::read),
        }
    }
}

/// This thread's, to the nanosecond.
fn own_time() -> u64 {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Into::into);
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
