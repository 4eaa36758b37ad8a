//! Which QEMU runs the guest. A plan outlives the run that it was made for, and thread ids are used again: a thread counts
//! as the guest's only if its process holds the memory that the guest was met in.

use std::fs::{self, File};
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use bench_model::{Plan, QemuThreads};
use tracing::warn;

/// The plan with the QEMU that is there now. Called when the guest has answered, so that its QEMU has the memory.
pub(crate) fn resolve_qemu_threads(plan: &Plan, memory: BorrowedFd<'_>) -> io::Result<Plan> {
    let Some(planned) = &plan.qemu else { return Ok(plan.clone()) };
    let memory = MemoryFile::of(memory)?;
    if memory.is_held_by(planned.pid) && planned.vcpus.iter().all(|tid| is_task(planned.pid, *tid)) {
        return Ok(plan.clone());
    }
    let found = find(memory);
    let mut plan = Plan { qemu: found, ..plan.clone() };
    match &plan.qemu {
        Some(QemuThreads { pid, vcpus }) if !vcpus.is_empty() => {
            warn!("the plan's QEMU is gone; this guest's is process {pid}, with {} vCPUs", vcpus.len());
        }
        other => {
            let missing = if other.is_some() { "the vCPUs' threads have no names" } else { "none was found" };
            let all = plan.blocks.len();
            // Only one side would be on that core, and the figures would be called both sides'.
            plan.blocks.retain(|block| !block.conditions.shared_core);
            warn!(
                "the plan's QEMU is gone, and of this guest's {missing}: CPU time of the guest is not measured, and {} \
                 blocks with both sides on one core are left out; start QEMU with -name debug-threads=on, as this user",
                all - plan.blocks.len()
            );
        }
    }
    Ok(plan)
}

/// The file behind the shared memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct MemoryFile {
    device: u64,
    inode: u64,
}

impl MemoryFile {
    fn of(fd: BorrowedFd<'_>) -> io::Result<Self> {
        Ok(Self::at(&File::from(fd.try_clone_to_owned()?).metadata()?))
    }

    fn at(file: &fs::Metadata) -> Self {
        Self { device: file.dev(), inode: file.ino() }
    }

    /// Whether a process has it open; not so where that may not be seen.
    fn is_held_by(self, pid: u32) -> bool {
        let open = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        open.into_iter().any(|fd| fs::metadata(fd.path()).is_ok_and(|file| Self::at(&file) == self))
    }
}

fn is_task(pid: u32, tid: u32) -> bool {
    Path::new(&format!("/proc/{pid}/task/{tid}")).exists()
}

/// The one QEMU that holds the memory; none if there are several, of which any may run the guest.
fn find(memory: MemoryFile) -> Option<QemuThreads> {
    let processes = numbers("/proc");
    let is_qemu = |pid: &u32| name(&format!("/proc/{pid}")).is_some_and(|name| name.starts_with("qemu"));
    let mut holders = processes.into_iter().filter(is_qemu).filter(|pid| memory.is_held_by(*pid));
    let pid = holders.next().filter(|_| holders.next().is_none())?;
    let tasks = format!("/proc/{pid}/task");
    let vcpu = |tid: &u32| Some((vcpu_number(&name(&format!("{tasks}/{tid}"))?)?, *tid));
    let mut vcpus: Vec<(u32, u32)> = numbers(&tasks).iter().filter_map(vcpu).collect();
    vcpus.sort_unstable();
    Some(QemuThreads { pid, vcpus: vcpus.into_iter().map(|(_, tid)| tid).collect() })
}

/// The entries of a folder that are numbers.
fn numbers(folder: &str) -> Vec<u32> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

fn name(folder: &str) -> Option<String> {
    fs::read_to_string(format!("{folder}/comm")).ok()
}

/// As QEMU names the threads of virtual CPUs with `debug-threads=on`: `CPU 0/KVM`, `CPU 0/TCG`.
fn vcpu_number(name: &str) -> Option<u32> {
    name.strip_prefix("CPU ")?.split_once('/')?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;
    use std::process::{Child, Command, Stdio};

    use bench_model::{Block, Conditions, Pinning, WaitMode, Workload};

    use super::*;

    fn plan(pid: u32, vcpus: &[u32]) -> Plan {
        let block = |shared_core| Block {
            index: 0,
            workload: Workload::Contention,
            host_wait: WaitMode::Irq,
            guest_wait: WaitMode::Irq,
            size_bytes: 64,
            warmup: 0,
            count: 1,
            limit_ms: None,
            corrupt_one: false,
            conditions: Conditions { shared_core, ..Conditions::default() },
        };
        Plan {
            nonce: 1,
            seed: 1,
            socket: "/nowhere".into(),
            pinning: Pinning::default(),
            qemu: Some(QemuThreads { pid, vcpus: vcpus.to_vec() }),
            ready_timeout_ms: 0,
            operation_timeout_ms: 0,
            timeout_scale: 1,
            spin_ns: None,
            ceiling_sizes: Vec::new(),
            blocks: vec![block(false), block(true)],
            fault: None,
        }
    }

    /// A process that has a file open as its stdin, and runs until it is ended.
    fn holder(of: &File) -> Child {
        Command::new("sleep").arg("600").stdin(Stdio::from(of.try_clone().unwrap())).spawn().unwrap()
    }

    #[test]
    fn a_qemu_that_holds_the_memory_is_the_plans() {
        let memory = tempfile::tempfile().unwrap();
        let mut child = holder(&memory);
        let planned = plan(child.id(), &[child.id()]);
        let settled = resolve_qemu_threads(&planned, memory.as_fd()).unwrap();
        let foreign = resolve_qemu_threads(&plan(child.id(), &[std::process::id()]), memory.as_fd()).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(settled, planned);
        assert_eq!(foreign.qemu, None, "a thread of another process is not touched");
    }

    #[test]
    fn a_process_that_got_the_id_later_is_not_the_guests_and_nothing_is_called_one_core() {
        let (memory, other) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        let mut stranger = holder(&other);
        let settled = resolve_qemu_threads(&plan(stranger.id(), &[stranger.id()]), memory.as_fd()).unwrap();
        stranger.kill().unwrap();
        stranger.wait().unwrap();
        assert_eq!(settled.qemu, None);
        assert_eq!(settled.blocks.len(), 1);
        assert!(!settled.blocks[0].conditions.shared_core);
    }

    #[test]
    fn threads_of_virtual_cpus_are_known_by_their_names() {
        assert_eq!(["CPU 0/TCG\n", "CPU 12/KVM\n"].map(vcpu_number), [Some(0), Some(12)]);
        assert_eq!(["qemu-system-x86\n", "CPU", "ALL CPUs/TCG"].map(vcpu_number), [None; 3]);
    }
}
