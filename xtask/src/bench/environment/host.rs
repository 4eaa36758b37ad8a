//! The host: hardware, settings of the kernel, and the limits and the scheduling that a run's processes inherit.

use std::collections::BTreeSet;
use std::path::Path;

use bench_model::pinning::cpu_list;
use report::result::environment::HostMachine;
use rustix::process::{Resource, getrlimit};

use crate::sys_files::SysRoot;

const CPUS: &str = "sys/devices/system/cpu";

/// Flags that affect the results: properties of the TSC, and instructions for copying, hashing and waiting.
const RECORDED_FLAGS: [&str; 13] = [
    "constant_tsc",
    "nonstop_tsc",
    "tsc_known_freq",
    "rdtscp",
    "sha_ni",
    "aes",
    "avx2",
    "avx512f",
    "erms",
    "fsrm",
    "clflushopt",
    "movdir64b",
    "waitpkg",
];

/// Reads the description of the host.
pub(in crate::bench) fn read(sysroot: &SysRoot) -> HostMachine {
    let text = |path: &str| sysroot.text(path);
    let flags = sysroot.cpu_flags();
    let cpus = sysroot.cpus();
    let of_cpu = |cpu: &usize, file: &str| sysroot.text(format!("{CPUS}/cpu{cpu}/{file}"));
    // `None` if the file of any CPU is unreadable: the others would give a number that is too low.
    let packages: Option<BTreeSet<String>> =
        cpus.iter().map(|cpu| of_cpu(cpu, "topology/physical_package_id")).collect();
    let siblings: Option<BTreeSet<Vec<usize>>> =
        cpus.iter().map(|cpu| cpu_list(&of_cpu(cpu, "topology/thread_siblings_list")?)).collect();
    let each = |file: &str| {
        let values: BTreeSet<String> = cpus.iter().filter_map(|cpu| of_cpu(cpu, file)).collect();
        Some(values.into_iter().collect::<Vec<_>>().join(", ")).filter(|all| !all.is_empty())
    };
    let scheduling = text("proc/self/stat").as_deref().and_then(scheduling);
    HostMachine {
        distribution: sysroot.value("etc/os-release", "PRETTY_NAME"),
        product: product(sysroot),
        virtualized: flags.as_ref().map(|flags| flags.iter().any(|flag| flag == "hypervisor")),
        cpu_flags: recorded(&flags.unwrap_or_default()),
        microcode: sysroot.value("proc/cpuinfo", "microcode"),
        sockets: packages.and_then(|packages| count(packages.len())),
        physical_cores: siblings.as_ref().and_then(|siblings| count(siblings.len())),
        hardware_threads: count(cpus.len()),
        smt_siblings: siblings.into_iter().flatten().filter(|threads| threads.len() > 1).collect(),
        caches: caches(sysroot),
        numa_nodes: sysroot.list("sys/devices/system/node/online").and_then(|nodes| count(nodes.len())),
        isolated_cpus: sysroot.text(format!("{CPUS}/isolated")),
        governor: each("cpufreq/scaling_governor"),
        frequency_driver: each("cpufreq/scaling_driver"),
        turbo: turbo(sysroot),
        // The kernel writes "none" without a driver.
        cpuidle_driver: sysroot.text(format!("{CPUS}/cpuidle/current_driver")),
        deepest_c_state: deepest_c_state(sysroot),
        halt_poll_ns: sysroot.number("sys/module/kvm/parameters/halt_poll_ns"),
        transparent_hugepages: text("sys/kernel/mm/transparent_hugepage/enabled").and_then(|text| chosen(&text)),
        host_clocksource: text("sys/devices/system/clocksource/clocksource0/current_clocksource"),
        host_command_line: text("proc/cmdline"),
        mitigations: mitigations(sysroot),
        host_memory_bytes: sysroot.memory("MemTotal"),
        page_bytes: u64::try_from(rustix::param::page_size()).ok(),
        timer_slack_ns: sysroot.number("proc/self/timerslack_ns"),
        memlock_limit: Some(
            getrlimit(Resource::Memlock).current.map_or_else(|| "unlimited".to_owned(), |bytes| bytes.to_string()),
        ),
        scheduling_policy: scheduling.as_ref().map(|(policy, _)| policy.clone()),
        nice: scheduling.map(|(_, nice)| nice),
        cpu_quota: text("proc/self/cgroup").and_then(|groups| cpu_quota(sysroot, &groups)),
    }
}

/// The recorded ones of the CPU's flags, in the order of `RECORDED_FLAGS`.
fn recorded(flags: &[String]) -> Vec<String> {
    let has = |name: &&str| flags.iter().any(|flag| flag == name);
    RECORDED_FLAGS.into_iter().filter(has).map(str::to_owned).collect()
}

/// `None` for zero, which means unknown.
fn count(number: usize) -> Option<u32> {
    u32::try_from(number).ok().filter(|count| *count > 0)
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
    let folder = format!("{CPUS}/vulnerabilities");
    let state = |name: String| Some((sysroot.text(format!("{folder}/{name}"))?, name));
    let affected = sysroot.names(&folder).into_iter().filter_map(state).filter(|(state, _)| state != "Not affected");
    affected.map(|(state, name)| format!("{name}: {state}")).collect()
}

/// The caches of the first CPU, such as `L1d 32K`.
fn caches(sysroot: &SysRoot) -> Vec<String> {
    let folder = format!("{CPUS}/cpu0/cache");
    let cache = |index: String| {
        let read = |name: &str| sysroot.text(format!("{folder}/{index}/{name}"));
        let kind = match read("type")?.as_str() {
            "Data" => "d",
            "Instruction" => "i",
            _ => "",
        };
        Some(format!("L{}{kind} {}", read("level")?, read("size")?))
    };
    sysroot.names(&folder).into_iter().filter(|name| name.starts_with("index")).filter_map(cache).collect()
}

/// Intel's driver has `no_turbo`, all others have `boost`.
fn turbo(sysroot: &SysRoot) -> Option<bool> {
    let turbo = sysroot.number(format!("{CPUS}/intel_pstate/no_turbo")).map(|no_turbo| no_turbo == 0);
    turbo.or_else(|| sysroot.number(format!("{CPUS}/cpufreq/boost")).map(|boost| boost == 1))
}

/// The deepest enabled idle state of the first CPU.
fn deepest_c_state(sysroot: &SysRoot) -> Option<String> {
    let folder = format!("{CPUS}/cpu0/cpuidle");
    let state = |name: String| {
        let number: u32 = name.strip_prefix("state")?.parse().ok()?;
        let enabled = sysroot.number(format!("{folder}/{name}/disable")).is_none_or(|disabled| disabled == 0);
        enabled.then_some((number, name))
    };
    let (_, name) = sysroot.names(&folder).into_iter().filter_map(state).max()?;
    let state = sysroot.text(format!("{folder}/{name}/name"))?;
    let latency = sysroot.number(format!("{folder}/{name}/latency"));
    Some(latency.map_or_else(|| state.clone(), |us| format!("{state} ({us} µs)")))
}

/// Scheduling policy and nice value: fields 19, 40 and 41 of [proc_pid_stat(5)](https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html). Field 2 is a name
/// in parentheses, which may contain any character.
fn scheduling(stat: &str) -> Option<(String, i64)> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |field: usize| fields.get(field - 3)?.parse::<i64>().ok();
    let policy = match number(41)? {
        0 => "other".to_owned(),
        1 => format!("fifo {}", number(40)?),
        2 => format!("rr {}", number(40)?),
        3 => "batch".to_owned(),
        5 => "idle".to_owned(),
        6 => "deadline".to_owned(),
        other => other.to_string(),
    };
    Some((policy, number(19)?))
}

/// CPU quota of the control group (version 2), in CPUs: the minimum of its limit and those of its ancestors.
fn cpu_quota(sysroot: &SysRoot, groups: &str) -> Option<f64> {
    let group = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let limits = Path::new(group).ancestors().filter_map(|group| {
        let limit = sysroot.text(Path::new("sys/fs/cgroup").join(group).join("cpu.max"))?;
        let (quota, period) = limit.split_once(' ')?;
        Some(quota.parse::<f64>().ok()? / period.parse::<f64>().ok().filter(|period| *period > 0.0)?)
    });
    limits.min_by(f64::total_cmp)
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
        let host = read(&SysRoot(root.path().to_owned()));
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
    fn order_of_the_flags_does_not_depend_on_the_kernel() {
        let (_root, host) = machine(&[("proc/cpuinfo", "flags\t\t: waitpkg avx2 fpu aes rdtscp constant_tsc\n")]);
        assert_eq!(host.cpu_flags, ["constant_tsc", "rdtscp", "aes", "avx2", "waitpkg"]);
    }

    #[test]
    fn unreadable_topology_gives_no_counts() {
        let (_root, host) = machine(&[
            ("sys/devices/system/cpu/online", "0-1\n"),
            ("sys/devices/system/cpu/cpu0/topology/physical_package_id", "0\n"),
            ("sys/devices/system/cpu/cpu0/topology/thread_siblings_list", "0\n"),
            ("sys/devices/system/cpu/cpu1/topology/thread_siblings_list", "damaged\n"),
        ]);
        assert_eq!((host.sockets, host.physical_cores, host.hardware_threads), (None, None, Some(2)));
        assert!(host.smt_siblings.is_empty());
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

    fn stat(nice: i64, priority: u32, policy: u32) -> String {
        let middle = vec!["0"; 20].join(" ");
        format!("7 (a) b) S 1 7 7 0 -1 4194304 0 0 0 0 1 2 0 0 20 {nice} {middle} {priority} {policy} 0 0 0")
    }

    #[test]
    fn policy_has_name_and_priority() {
        let of = |nice, priority, policy| scheduling(&stat(nice, priority, policy));
        let is = |policy: &str, nice| Some((policy.to_owned(), nice));
        assert_eq!(of(0, 0, 0), is("other", 0));
        assert_eq!(of(-5, 0, 3), is("batch", -5));
        assert_eq!(of(19, 0, 5), is("idle", 19));
        assert_eq!(of(0, 50, 1), is("fifo 50", 0));
        assert_eq!(scheduling("7 (a"), None);
        assert_eq!(scheduling("7 (a) S 1"), None);
    }

    #[test]
    fn reads_scheduling_of_this_process() {
        let host = read(&SysRoot::real());
        let own = fs::read_to_string("/proc/self/stat").unwrap();
        assert_eq!(host.nice, scheduling(&own).map(|(_, nice)| nice));
        assert!(host.scheduling_policy.is_some_and(|policy| policy.parse::<u32>().is_err()), "by name");
    }

    #[test]
    fn smallest_quota_of_all_ancestors_counts() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join("sys/fs/cgroup").join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let quota = |groups: &str| cpu_quota(&SysRoot(root.path().to_owned()), groups);
        assert_eq!(quota("0::/a/b\n"), None);
        write("a/b/cpu.max", "max 100000\n");
        assert_eq!(quota("0::/a/b\n"), None, "no limit");
        write("a/cpu.max", "150000 100000\n");
        assert_eq!(quota("1:cpu:/x\n0::/a/b\n"), Some(1.5));
        write("a/b/cpu.max", "50000 100000\n");
        assert_eq!(quota("0::/a/b\n"), Some(0.5));
        write("a/b/cpu.max", "50000 0\n");
        assert_eq!(quota("0::/a/b\n"), Some(1.5), "a zero period is ignored");
        assert_eq!(quota("3:cpu:/a\n"), None, "version 1 is ignored");
    }
}
