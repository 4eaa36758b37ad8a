//! The CPU: features, topology and caches.

use std::collections::BTreeSet;

use report::result::environment::HostMachine;

use super::sysroot::SysRoot;

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

pub(super) fn read(sysroot: &SysRoot, host: &mut HostMachine) {
    let flags = sysroot.value("proc/cpuinfo", "flags");
    let has = |flag: &str| flags.as_deref().is_some_and(|all| all.split_whitespace().any(|word| word == flag));
    host.virtualized = flags.as_ref().map(|_| has("hypervisor"));
    host.cpu_flags = RECORDED_FLAGS.into_iter().filter(|flag| has(flag)).map(str::to_owned).collect();
    host.microcode = sysroot.value("proc/cpuinfo", "microcode");
    host.caches = caches(sysroot);

    let cpus = sysroot.cpus();
    let topology = |cpu: usize, name: &str| format!("sys/devices/system/cpu/cpu{cpu}/topology/{name}");
    let count = |number: usize| u32::try_from(number).ok().filter(|count| *count > 0);
    let packages: Option<BTreeSet<u64>> =
        cpus.iter().map(|&cpu| sysroot.number(topology(cpu, "physical_package_id"))).collect();
    host.sockets = packages.and_then(|all| count(all.len()));
    host.hardware_threads = count(cpus.len());
    let cores: Option<BTreeSet<Vec<usize>>> =
        cpus.iter().map(|&cpu| sysroot.list(topology(cpu, "thread_siblings_list"))).collect();
    if let Some(cores) = cores {
        host.physical_cores = count(cores.len());
        host.smt_siblings = cores.into_iter().filter(|threads| threads.len() > 1).collect();
    }
}

/// The caches of the first CPU, such as `L1d 32K`.
fn caches(sysroot: &SysRoot) -> Vec<String> {
    let folder = "sys/devices/system/cpu/cpu0/cache";
    let cache = |index: String| {
        let read = |name: &str| sysroot.text(format!("{folder}/{index}/{name}"));
        let kind = match read("type")?.as_str() {
            "Data" => "d",
            "Instruction" => "i",
            _ => "",
        };
        Some(format!("L{}{kind} {}", read("level")?, read("size")?))
    };
    sysroot.names(folder).into_iter().filter(|name| name.starts_with("index")).filter_map(cache).collect()
}
