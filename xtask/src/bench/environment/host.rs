//! The host as a whole.

use report::result::environment::HostMachine;

use super::sysroot::SysRoot;
use super::{power, process, processor};

/// Reads the description of the host.
pub(super) fn read(sysroot: &SysRoot) -> HostMachine {
    let mut host = HostMachine {
        distribution: sysroot.value("etc/os-release", "PRETTY_NAME"),
        product: product(sysroot),
        numa_nodes: sysroot.list("sys/devices/system/node/online").and_then(|nodes| u32::try_from(nodes.len()).ok()),
        isolated_cpus: sysroot.text("sys/devices/system/cpu/isolated"),
        halt_poll_ns: sysroot.number("sys/module/kvm/parameters/halt_poll_ns"),
        transparent_hugepages: sysroot
            .text("sys/kernel/mm/transparent_hugepage/enabled")
            .and_then(|text| chosen(&text)),
        host_clocksource: sysroot.text("sys/devices/system/clocksource/clocksource0/current_clocksource"),
        host_command_line: sysroot.text("proc/cmdline"),
        mitigations: mitigations(sysroot),
        host_memory_bytes: memory(sysroot),
        page_bytes: u64::try_from(rustix::param::page_size()).ok(),
        ..HostMachine::default()
    };
    processor::read(sysroot, &mut host);
    power::read(sysroot, &mut host);
    process::read(sysroot, &mut host);
    host
}

/// Vendor and product. In a cloud they name the machine type.
fn product(sysroot: &SysRoot) -> Option<String> {
    let dmi = |name: &str| sysroot.text(format!("sys/class/dmi/id/{name}"));
    let words: Vec<String> = ["sys_vendor", "product_name"].into_iter().filter_map(dmi).collect();
    (!words.is_empty()).then(|| words.join(" "))
}

/// The bracketed word of `always [madvise] never`.
fn chosen(text: &str) -> Option<String> {
    Some(text.split_once('[')?.1.split_once(']')?.0.to_owned())
}

/// Without vulnerabilities that do not affect the CPU.
fn mitigations(sysroot: &SysRoot) -> Vec<String> {
    let folder = "sys/devices/system/cpu/vulnerabilities";
    let state = |name: String| Some((sysroot.text(format!("{folder}/{name}"))?, name));
    let affected = sysroot.names(folder).into_iter().filter_map(state).filter(|(state, _)| state != "Not affected");
    affected.map(|(state, name)| format!("{name}: {state}")).collect()
}

fn memory(sysroot: &SysRoot) -> Option<u64> {
    let kib: u64 = sysroot.value("proc/meminfo", "MemTotal")?.strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    fn machine(files: &[(&str, &str)]) -> (tempfile::TempDir, HostMachine) {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).unwrap();
            fs::write(path, text).unwrap();
        }
        let host = read(&SysRoot::at(root.path()));
        (root, host)
    }

    #[test]
    fn empty_sysroot_gives_no_values() {
        let (_root, host) = machine(&[]);
        let unknown = HostMachine {
            page_bytes: host.page_bytes,
            memlock_limit: host.memlock_limit.clone(),
            ..HostMachine::default()
        };
        assert_eq!(host, unknown);
    }

    #[test]
    fn counts_cores_threads_and_siblings() {
        let cpu = "sys/devices/system/cpu";
        let mut files = vec![(format!("{cpu}/online"), "0-3\n".to_owned())];
        for (number, siblings) in [(0, "0,2"), (1, "1,3"), (2, "0,2"), (3, "1,3")] {
            files.push((format!("{cpu}/cpu{number}/topology/physical_package_id"), "0\n".into()));
            files.push((format!("{cpu}/cpu{number}/topology/thread_siblings_list"), format!("{siblings}\n")));
        }
        let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
        let (_root, host) = machine(&files);
        assert_eq!((host.sockets, host.physical_cores, host.hardware_threads), (Some(1), Some(2), Some(4)));
        assert_eq!(host.smt_siblings, [[0, 2], [1, 3]]);
    }

    #[test]
    fn reads_settings_in_the_kernels_format() {
        let (_root, host) = machine(&[
            ("etc/os-release", "NAME=\"X\"\nPRETTY_NAME=\"Some Linux 12\"\n"),
            ("proc/cpuinfo", "processor\t: 0\nmicrocode\t: 0x1\nflags\t\t: fpu constant_tsc hypervisor avx2\n"),
            ("proc/meminfo", "MemTotal:        2048 kB\nMemFree: 1 kB\n"),
            ("sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n"),
            ("sys/devices/system/cpu/online", "0-1\n"),
            ("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "powersave\n"),
            ("sys/devices/system/cpu/cpu1/cpufreq/scaling_governor", "performance\n"),
            ("sys/devices/system/cpu/intel_pstate/no_turbo", "0\n"),
            ("sys/devices/system/cpu/vulnerabilities/meltdown", "Mitigation: PTI\n"),
            ("sys/devices/system/cpu/vulnerabilities/mds", "Not affected\n"),
            ("sys/devices/system/cpu/cpu0/cpuidle/state1/name", "C1\n"),
            ("sys/devices/system/cpu/cpu0/cpuidle/state2/name", "C6\n"),
            ("sys/devices/system/cpu/cpu0/cpuidle/state2/latency", "133\n"),
            ("sys/devices/system/cpu/cpu0/cpuidle/state3/name", "C10\n"),
            ("sys/devices/system/cpu/cpu0/cpuidle/state3/disable", "1\n"),
            ("sys/devices/system/cpu/cpu0/cache/index0/level", "1\n"),
            ("sys/devices/system/cpu/cpu0/cache/index0/type", "Data\n"),
            ("sys/devices/system/cpu/cpu0/cache/index0/size", "32K\n"),
        ]);
        assert_eq!(host.distribution.as_deref(), Some("Some Linux 12"));
        assert_eq!((host.virtualized, host.turbo), (Some(true), Some(true)));
        assert_eq!(host.cpu_flags, ["constant_tsc", "avx2"]);
        assert_eq!(host.host_memory_bytes, Some(2 << 20));
        assert_eq!(host.transparent_hugepages.as_deref(), Some("madvise"));
        assert_eq!(host.governor.as_deref(), Some("performance, powersave"));
        assert_eq!(host.mitigations, ["meltdown: Mitigation: PTI"]);
        assert_eq!(host.deepest_c_state.as_deref(), Some("C6 (133 µs)"));
        assert_eq!(host.caches, ["L1d 32K"]);
    }
}
