//! Contention: busy threads, and host and guest on one core.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use bench_model::{Conditions, Plan};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use crate::BenchError;
use crate::error::system;

/// Creates contention for blocks that ask for it.
pub(crate) struct Contention {
    /// The core of the initiator, if it is pinned.
    own: Option<usize>,
    /// The vCPU threads.
    vcpus: Vec<Pid>,
    /// Cores of this process before it was pinned.
    all: CpuSet,
}

/// The load of a block, to be stopped after it.
pub(crate) struct LoadGuard {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    /// Moved threads with their original affinity.
    moved: Vec<(Pid, CpuSet)>,
}

impl Contention {
    /// The calling thread may already be pinned.
    pub(crate) fn new(plan: &Plan) -> Self {
        let vcpus = plan.qemu.iter().flat_map(|qemu| &qemu.vcpus).map(|tid| Pid::from_raw(tid.cast_signed())).collect();
        // The parent is never pinned; if it cannot be read, use every core.
        let all = sched_getaffinity(nix::unistd::getppid()).unwrap_or_else(|_| every_core());
        Self { own: plan.pinning.host, vcpus, all }
    }

    /// Starts the load that the block asks for.
    pub(crate) fn start(&self, conditions: Conditions) -> Result<LoadGuard, BenchError> {
        let stop = Arc::new(AtomicBool::new(false));
        let mut load = LoadGuard { stop: Arc::clone(&stop), threads: Vec::new(), moved: Vec::new() };
        if conditions.shared_core {
            let one = self.own_core().map_err(failed)?;
            for thread in self.vcpus.iter().copied().chain([Pid::from_raw(0)]) {
                let before = sched_getaffinity(thread).map_err(failed)?;
                sched_setaffinity(thread, &one).map_err(failed)?;
                load.moved.push((thread, before));
            }
        }
        for _ in 0..conditions.busy_threads.unwrap_or(0) {
            let (stop, cores) = (Arc::clone(&stop), self.all);
            load.threads.push(std::thread::spawn(move || busy_loop(&stop, &cores)));
        }
        Ok(load)
    }

    /// The core of the initiator; if it is not pinned, the first allowed one.
    fn own_core(&self) -> nix::Result<CpuSet> {
        let allowed = sched_getaffinity(Pid::from_raw(0))?;
        let is_allowed = |core: &usize| allowed.is_set(*core).unwrap_or(false);
        let core = self.own.or_else(|| (0..CpuSet::count()).find(is_allowed));
        let mut one = CpuSet::new();
        one.set(core.unwrap_or(0))?;
        Ok(one)
    }
}

impl LoadGuard {
    /// Stops the busy threads and restores the affinity.
    pub(crate) fn stop_and_restore(self) -> Result<(), BenchError> {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            // The loop cannot panic.
            let _ = thread.join();
        }
        self.moved.iter().try_for_each(|(thread, cores)| sched_setaffinity(*thread, cores).map_err(failed))
    }
}

fn every_core() -> CpuSet {
    let mut all = CpuSet::new();
    for core in 0..CpuSet::count() {
        // Numbers below the count are always valid.
        let _ = all.set(core);
    }
    all
}

/// Allows every core: a new thread inherits the affinity of its parent.
fn busy_loop(stop: &AtomicBool, cores: &CpuSet) {
    let _ = sched_setaffinity(Pid::from_raw(0), cores);
    while !stop.load(Ordering::Relaxed) {
        for _ in 0..1_000 {
            std::hint::spin_loop();
        }
    }
}

fn failed(error: nix::errno::Errno) -> BenchError {
    system("moving a thread to another core")(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_core_is_allowed_for_this_process() {
        let own = Pid::from_raw(0);
        let allowed = sched_getaffinity(own).unwrap();
        let last = (0..CpuSet::count()).rfind(|core| allowed.is_set(*core).unwrap()).unwrap();
        let mut only = CpuSet::new();
        only.set(last).unwrap();
        sched_setaffinity(own, &only).unwrap();

        let contention = Contention { own: None, vcpus: Vec::new(), all: allowed };
        let load = contention.start(Conditions { shared_core: true, ..Conditions::default() }).unwrap();
        let core = sched_getaffinity(own).unwrap();
        load.stop_and_restore().unwrap();
        assert_eq!(core, only);
    }
}
