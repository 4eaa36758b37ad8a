//! Checks that this host has enough memory for a guest, before anything is built.

use cli_common::size::Bytes;

use crate::exit_status::{missing_dependency, usage};
use crate::sys_files::SysRoot;

/// Refuses shared memory that is not available, and a guest that does not fit into this host. The shared memory is
/// allocated immediately, the guest's memory on first access.
pub(crate) fn check(shared: u64, guest: u64) -> anyhow::Result<()> {
    check_in(&SysRoot::real(), shared, guest)
}

/// Without values in /proc/meminfo, nothing is refused.
fn check_in(sysroot: &SysRoot, shared: u64, guest: u64) -> anyhow::Result<()> {
    let mib = |bytes: u64| Bytes(bytes >> 20 << 20);
    let swap = sysroot.memory("SwapFree").unwrap_or(0);
    if let Some(available) = sysroot.memory("MemAvailable").map(|available| available.saturating_add(swap))
        && shared > available
    {
        return Err(missing_dependency(format!(
            "--size {}: only {} of memory are available; try a smaller --size",
            Bytes(shared),
            mib(available)
        )));
    }
    if let Some(total) = sysroot.memory("MemTotal").map(|total| total.saturating_add(swap))
        && shared.saturating_add(guest) > total
    {
        return Err(missing_dependency(format!(
            "--mem {} and {} of shared memory: this host has {} of memory; try a smaller --mem",
            Bytes(guest),
            Bytes(shared),
            mib(total)
        )));
    }
    Ok(())
}

/// Refuses guest memory below the minimum or with a fraction of a MiB, which QEMU would round.
pub(crate) fn check_guest(bytes: u64, min: u64) -> anyhow::Result<()> {
    if bytes < min {
        return Err(usage(format!("--mem {}: the guest needs at least {}", Bytes(bytes), Bytes(min))));
    }
    if !bytes.is_multiple_of(1 << 20) {
        let next = Bytes(bytes.next_multiple_of(1 << 20));
        return Err(usage(format!("--mem {}: not a whole number of MiB; try --mem {next}", Bytes(bytes))));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit_status::MISSING;

    const MEMINFO: &str = "MemTotal: 8388608 kB\nMemAvailable: 4194304 kB\nSwapFree: 1048576 kB\n";

    #[test]
    fn missing_memory_has_exit_status_3() {
        let root = tempfile::tempdir().unwrap();
        let sysroot = SysRoot(root.path().to_owned());
        check_in(&sysroot, 1 << 50, 1 << 50).unwrap();
        std::fs::create_dir(root.path().join("proc")).unwrap();
        std::fs::write(root.path().join("proc/meminfo"), MEMINFO).unwrap();
        for (shared, guest, flag) in [(8 << 30, 1 << 30, "--size"), (1 << 30, 9 << 30, "--mem"), (1 << 40, 1, "--size")]
        {
            let error = check_in(&sysroot, shared, guest).unwrap_err();
            assert!(error.to_string().starts_with(flag), "{error}");
            assert_eq!(error.downcast_ref::<crate::exit_status::Failure>().unwrap().status, MISSING);
        }
        check_in(&sysroot, 4 << 30, 4 << 30).unwrap();
    }

    #[test]
    fn guest_memory_has_minimum_and_granularity() {
        check_guest(256 << 20, 256 << 20).unwrap();
        assert!(check_guest(1 << 20, 64 << 20).unwrap_err().to_string().contains("at least 64M"));
        assert!(check_guest((300 << 20) + 1, 64 << 20).unwrap_err().to_string().contains("try --mem 301M"));
    }
}
