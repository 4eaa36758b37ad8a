//! Finds the QEMU that runs the guest. A plan can be reused after its run, and thread ids are recycled: a thread
//! belongs to the guest only if its process has the shared memory open.

use std::fs::{self, File};
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use bench_model::{Plan, QemuThreads};
use tracing::warn;

/// The plan with the current QEMU. Call it after the hello of the guest: its QEMU then has the memory open.
pub(crate) fn resolve_qemu_threads(plan: &Plan, memory: BorrowedFd<'_>) -> io::Result<Plan> {
    let Some(planned) = &plan.qemu else { return Ok(plan.clone()) };
    let memory = identity(&File::from(memory.try_clone_to_owned()?).metadata()?);
    let is_task = |tid: &u32| Path::new(&format!("/proc/{}/task/{tid}", planned.pid)).exists();
    if holds(planned.pid, memory) && planned.vcpus.iter().all(is_task) {
        return Ok(plan.clone());
    }
    let found = find(memory);
    let mut plan = Plan { qemu: found, ..plan.clone() };
    match &plan.qemu {
        Some(QemuThreads { pid, vcpus }) if !vcpus.is_empty() => {
            warn!("the QEMU of the plan is gone; the guest's QEMU is process {pid} with {} vCPUs", vcpus.len());
        }
        other => {
            let missing = if other.is_some() { "the vCPU threads have no names" } else { "no process was found" };
            let all = plan.blocks.len();
            // Only one side would run on that core, but the results would claim both.
            plan.blocks.retain(|block| !block.conditions.shared_core);
            warn!(
                "the QEMU of the plan is gone, and {missing}: the CPU time of the guest is not measured, and {} blocks with both \
                 sides on one core are skipped. Hint: start QEMU with -name debug-threads=on, as this user",
                all - plan.blocks.len()
            );
        }
    }
    Ok(plan)
}

/// Identity of a file: device and inode.
fn identity(file: &fs::Metadata) -> (u64, u64) {
    (file.dev(), file.ino())
}

/// Whether a process has the file of this identity open; false without the permission to check.
fn holds(pid: u32, memory: (u64, u64)) -> bool {
    let open = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    open.into_iter().any(|fd| fs::metadata(fd.path()).is_ok_and(|file| identity(&file) == memory))
}

/// The only QEMU that has the memory open; `None` if there are several.
fn find(memory: (u64, u64)) -> Option<QemuThreads> {
    let processes = numbers("/proc");
    let is_qemu = |pid: &u32| name(&format!("/proc/{pid}")).is_some_and(|name| name.starts_with("qemu"));
    let mut holders = processes.into_iter().filter(is_qemu).filter(|pid| holds(*pid, memory));
    let pid = holders.next().filter(|_| holders.next().is_none())?;
    let tasks = format!("/proc/{pid}/task");
    let vcpu = |tid: &u32| Some((vcpu_number(&name(&format!("{tasks}/{tid}"))?)?, *tid));
    let mut vcpus: Vec<(u32, u32)> = numbers(&tasks).iter().filter_map(vcpu).collect();
    vcpus.sort_unstable();
    Some(QemuThreads { pid, vcpus: vcpus.into_iter().map(|(_, tid)| tid).collect() })
}

/// The numeric entries of a directory.
fn numbers(folder: &str) -> Vec<u32> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

fn name(folder: &str) -> Option<String> {
    fs::read_to_string(format!("{folder}/comm")).ok()
}

/// QEMU names vCPU threads `CPU 0/KVM` or `CPU 0/TCG` with `debug-threads=on`.
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

    /// A process that has a file open as its stdin.
    fn holder(of: &File) -> Child {
        Command::new("sleep").arg("600").stdin(Stdio::from(of.try_clone().unwrap())).spawn().unwrap()
    }

    #[test]
    fn keeps_a_planned_qemu_that_has_the_memory_open() {
        let memory = tempfile::tempfile().unwrap();
        let mut child = holder(&memory);
        let planned = plan(child.id(), &[child.id()]);
        let settled = resolve_qemu_threads(&planned, memory.as_fd()).unwrap();
        let foreign = resolve_qemu_threads(&plan(child.id(), &[std::process::id()]), memory.as_fd()).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(settled, planned);
        assert_eq!(foreign.qemu, None, "a thread of another process is ignored");
    }

    #[test]
    fn ignores_a_process_with_a_recycled_id() {
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
    fn finds_vcpu_threads_by_name() {
        assert_eq!(["CPU 0/TCG\n", "CPU 12/KVM\n"].map(vcpu_number), [Some(0), Some(12)]);
        assert_eq!(["qemu-system-x86\n", "CPU", "ALL CPUs/TCG"].map(vcpu_number), [None; 3]);
    }
}
