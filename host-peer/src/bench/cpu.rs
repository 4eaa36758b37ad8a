//! CPU time of the threads that take part.

use std::fs;
use std::path::PathBuf;

use nix::time::{ClockId, clock_gettime};
use report::measured::CpuTime;
use report::plan::QemuThreads;

/// Where to read, for each party.
#[derive(Debug)]
pub(super) struct Meter {
    vcpus: Vec<PathBuf>,
    main_loop: Option<PathBuf>,
}

impl Meter {
    pub(super) fn new(qemu: Option<&QemuThreads>) -> Self {
        let path = |pid: u32, tid: u32| PathBuf::from(format!("/proc/{pid}/task/{tid}/schedstat"));
        Self {
            vcpus: qemu.iter().flat_map(|q| q.vcpus.iter().map(|tid| path(q.pid, *tid))).collect(),
            main_loop: qemu.map(|q| path(q.pid, q.pid)),
        }
    }

    /// CPU time used up to now.
    ///
    /// schedstat is brought up to date when a thread is scheduled, so it tells the truth only of a thread that sleeps
    /// now and then: the guest does, right before READY and right after DONE.
    pub(super) fn read(&self) -> CpuTime {
        let vcpus: Option<Vec<u64>> = self.vcpus.iter().map(schedstat).collect();
        CpuTime {
            host_ns: own_time(),
            vcpu_ns: vcpus.filter(|all| !all.is_empty()).map(|all| all.iter().sum()),
            main_loop_ns: self.main_loop.as_ref().and_then(schedstat),
        }
    }
}

/// CPU time between two readings.
pub(super) fn between(before: &CpuTime, after: &CpuTime) -> CpuTime {
    let minus = |after: Option<u64>, before: Option<u64>| after.zip(before).map(|(a, b)| a.saturating_sub(b));
    CpuTime {
        host_ns: after.host_ns.saturating_sub(before.host_ns),
        vcpu_ns: minus(after.vcpu_ns, before.vcpu_ns),
        main_loop_ns: minus(after.main_loop_ns, before.main_loop_ns),
    }
}

/// First number of a schedstat file: nanoseconds on a CPU.
fn schedstat(path: &PathBuf) -> Option<u64> {
    fs::read_to_string(path).ok()?.split_whitespace().next()?.parse().ok()
}

/// This thread's, to the nanosecond.
fn own_time() -> u64 {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(std::time::Duration::ZERO, Into::into);
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
