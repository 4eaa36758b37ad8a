//! Records on which CPUs the threads of a run may run and did run. Sampled after each block, outside the measurement.

use std::fs;

use bench_model::pinning::{Pinning, cpu_list};
use bench_model::raw::{BlockPlacement, ThreadAffinity};
use bench_model::{Block, Fault, Plan, QemuThreads};
use nix::sched::{CpuSet, sched_getcpu, sched_setaffinity};
use nix::unistd::Pid;

use crate::BenchError;
use crate::error::system;

/// Samples the threads of a run.
#[derive(Debug)]
pub(crate) struct AffinitySampler {
    qemu: Option<QemuThreads>,
    /// The block in which the initiator moves to another CPU ([`Fault::Wander`]). The last one: no other block is
    /// affected.
    wanders_in: Option<u32>,
    pinning: Pinning,
}

impl AffinitySampler {
    pub(crate) fn new(plan: &Plan) -> Self {
        let wanders = plan.fault == Some(Fault::Wander);
        let wanders_in = plan.blocks.last().map(|block| block.index).filter(|_| wanders);
        Self { qemu: plan.qemu.clone(), wanders_in, pinning: plan.pinning.clone() }
    }

    /// Samples the threads, after a block.
    pub(crate) fn sample(&self) -> BlockPlacement {
        let task = |qemu: &QemuThreads, tid: u32| thread_affinity(&format!("/proc/{}/task/{tid}", qemu.pid));
        let host = thread_affinity("/proc/thread-self").map(|thread| {
            // sched_getcpu(3) returns the present CPU of the calling thread.
            ThreadAffinity { last_cpu: sched_getcpu().ok().or(thread.last_cpu), ..thread }
        });
        let qemu = self.qemu.as_ref();
        BlockPlacement {
            wanted: self.pinning.clone(),
            host,
            vcpus: qemu.iter().flat_map(|qemu| qemu.vcpus.iter().map(|tid| task(qemu, *tid))).collect(),
            main_loop: qemu.and_then(|qemu| task(qemu, qemu.pid)),
        }
    }

    /// Moves the initiator to a free CPU, or to the CPU of another thread, if the fault is for this block.
    pub(crate) fn apply_wander_fault(&self, block: &Block) -> Result<(), BenchError> {
        if self.wanders_in != Some(block.index) {
            return Ok(());
        }
        let taken: Vec<usize> = self.pinning.threads().map(|(_, cpu)| cpu).collect();
        let own = self.pinning.host;
        let online = fs::read_to_string("/sys/devices/system/cpu/online").ok().and_then(|text| cpu_list(&text));
        let online = online.unwrap_or_default();
        let free = online.iter().filter(|cpu| !taken.contains(cpu));
        let others = free.chain(online.iter().filter(|cpu| Some(**cpu) != own));
        let mut last = nix::Error::EINVAL;
        // This process may not be allowed on every online CPU.
        for &cpu in others {
            match pin_current_thread(cpu) {
                Ok(()) => return Ok(()),
                Err(error) => last = error,
            }
        }
        Err(system("moving to another CPU")(last))
    }
}

/// Pins the calling thread to a CPU.
pub(crate) fn pin_current_thread(cpu: usize) -> nix::Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu)?;
    sched_setaffinity(Pid::from_raw(0), &set)
}

/// Affinity of a thread by its directory in /proc; `None` if it ended.
fn thread_affinity(folder: &str) -> Option<ThreadAffinity> {
    let status = fs::read_to_string(format!("{folder}/status")).ok()?;
    let allowed = cpu_list(status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?)?;
    let last_cpu = fs::read_to_string(format!("{folder}/stat")).ok().and_then(|stat| last_cpu(&stat));
    Some(ThreadAffinity { allowed, last_cpu })
}

/// Field 39 of /proc/PID/stat (`proc_pid_stat(5)`). The name in field 2 may contain blanks and parentheses: field 3 is
/// the first after the last parenthesis.
fn last_cpu(stat: &str) -> Option<usize> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(39 - 3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_with_parentheses_does_not_shift_fields() {
        let fields: Vec<String> = (4..=52).map(|field| field.to_string()).collect();
        assert_eq!(last_cpu(&format!("7 (CPU 0/TCG) x) R {}", fields.join(" "))), Some(39));
        assert_eq!(last_cpu("7 (short) R 1 2"), None);
    }

    #[test]
    fn samples_the_calling_thread() {
        let placement = thread_affinity("/proc/thread-self").unwrap();
        assert!(placement.allowed.contains(&placement.last_cpu.unwrap()), "{placement:?}");
    }
}
