//! Records on which CPUs the threads of a run may run and did run. Sampled after each block, outside the measurement.

use std::fs;

use bench_model::pinning::{Pinning, ThreadName, cpu_list};
use bench_model::raw::{BlockPlacement, ThreadAffinity};
use bench_model::{Block, Fault, Plan, QemuThreads};
use nix::sched::{CpuSet, sched_getcpu, sched_setaffinity};
use nix::unistd::{Pid, gettid};

use crate::BenchError;

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
        let mut placement = BlockPlacement { wanted: self.pinning.clone(), ..BlockPlacement::default() };
        for (name, path) in self.threads() {
            let thread = path.as_deref().and_then(thread_affinity).map(|mut thread| {
                if name == ThreadName::Host {
                    thread.last_cpu = sched_getcpu().ok().or(thread.last_cpu);
                }
                thread
            });
            match name {
                ThreadName::Host => placement.host = thread,
                ThreadName::Vcpu(_) => placement.vcpus.push(thread),
                ThreadName::MainLoop => placement.main_loop = thread,
            }
        }
        placement
    }

    /// Moves the initiator if the fault is for this block.
    pub(crate) fn apply_wander_fault(&self, block: &Block) -> Result<(), BenchError> {
        if self.wanders_in == Some(block.index) { self.move_to_other_cpu() } else { Ok(()) }
    }

    /// Moves the initiator to a free CPU, or to the CPU of another thread.
    fn move_to_other_cpu(&self) -> Result<(), BenchError> {
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
        Err(BenchError::System { what: "moving to another CPU", source: last.into() })
    }

    /// The threads with their directories in /proc; the initiator first.
    fn threads(&self) -> impl Iterator<Item = (ThreadName, Option<String>)> + '_ {
        let task = |pid: u32, tid: u32| Some(format!("/proc/{pid}/task/{tid}"));
        let qemu = self.qemu.as_ref();
        let vcpus = qemu.into_iter().flat_map(move |q| q.vcpus.iter().map(move |tid| task(q.pid, *tid)));
        std::iter::once((ThreadName::Host, Some(format!("/proc/self/task/{}", gettid()))))
            .chain(vcpus.enumerate().map(|(index, path)| (ThreadName::Vcpu(index), path)))
            .chain(qemu.map(|q| (ThreadName::MainLoop, task(q.pid, q.pid))))
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
    let allowed = status(folder, "Cpus_allowed_list").and_then(|list| cpu_list(&list))?;
    let last_cpu = fs::read_to_string(format!("{folder}/stat")).ok().and_then(|stat| last_cpu(&stat));
    Some(ThreadAffinity { allowed, last_cpu })
}

/// Field 39 of /proc/PID/stat (`proc_pid_stat(5)`). The name in field 2 may contain blanks and parentheses: field 3 is
/// the first after the last parenthesis.
fn last_cpu(stat: &str) -> Option<usize> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(39 - 3)?.parse().ok()
}

fn status(folder: &str, key: &str) -> Option<String> {
    let text = fs::read_to_string(format!("{folder}/status")).ok()?;
    let value = |line: &str| Some(line.strip_prefix(key)?.strip_prefix(':')?.trim().to_owned());
    text.lines().find_map(value)
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
        let placement = thread_affinity(&format!("/proc/self/task/{}", gettid())).unwrap();
        assert!(placement.allowed.contains(&placement.last_cpu.unwrap()), "{placement:?}");
    }
}
