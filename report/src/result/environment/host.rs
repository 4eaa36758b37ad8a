//! The host machine, as Linux describes it: the settings that make results differ between machines with the same
//! processor.

use serde::{Deserialize, Serialize};

/// Host machine and settings. `None` or empty: not available.
///
/// Read once by xtask before the run. Fields are flattened into [environment](super::Environment).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct HostMachine {
    /// The distribution (`PRETTY_NAME` in os-release).
    pub distribution: Option<String>,
    /// Whether the host is itself a virtual machine (the processor's hypervisor flag).
    pub virtualized: Option<bool>,
    /// The machine's vendor and product, from DMI.
    pub product: Option<String>,
    /// The processor's flags that affect results: constant clocks, vector and hash instructions.
    pub cpu_flags: Vec<String>,
    /// The microcode's revision.
    pub microcode: Option<String>,
    /// Processor packages that are online.
    pub sockets: Option<u32>,
    /// Physical cores that are online.
    pub physical_cores: Option<u32>,
    /// Hardware threads that are online.
    pub hardware_threads: Option<u32>,
    /// CPUs that share a physical core, group by group; empty without simultaneous multithreading.
    pub smt_siblings: Vec<Vec<usize>>,
    /// Caches of the first CPU, such as `L1d 32K`.
    pub caches: Vec<String>,
    /// NUMA nodes that are online.
    pub numa_nodes: Option<u32>,
    /// CPUs kept free of ordinary tasks (`isolcpus=`).
    pub isolated_cpus: Option<String>,
    /// The frequency governor; all of them if CPUs differ.
    pub governor: Option<String>,
    /// The kernel's frequency driver.
    pub frequency_driver: Option<String>,
    /// Whether the processor may exceed its nominal frequency.
    pub turbo: Option<bool>,
    /// The kernel's cpuidle driver.
    pub cpuidle_driver: Option<String>,
    /// The deepest enabled C-state with its exit latency, such as `C6 (133 µs)`.
    pub deepest_c_state: Option<String>,
    /// How long KVM polls for a halted virtual CPU before it blocks, in nanoseconds.
    pub halt_poll_ns: Option<u64>,
    /// Transparent huge pages: `always`, `madvise` or `never`.
    pub transparent_hugepages: Option<String>,
    /// The host's clock source.
    pub host_clocksource: Option<String>,
    /// The host kernel's command line.
    pub host_command_line: Option<String>,
    /// The kernel's mitigation of each vulnerability of this processor, such as `spectre_v2: Mitigation: Retpolines`.
    pub mitigations: Vec<String>,
    /// The host's memory, in bytes.
    pub host_memory_bytes: Option<u64>,
    /// The size of a page, in bytes.
    pub page_bytes: Option<u64>,
    /// The timer slack of this process, in nanoseconds.
    pub timer_slack_ns: Option<u64>,
    /// The limit of locked memory per process: bytes, or `unlimited`.
    pub memlock_limit: Option<String>,
    /// The scheduling policy of the run's processes: `other`, `batch`, `idle`, or a real-time policy with its priority
    /// (`fifo 50`).
    pub scheduling_policy: Option<String>,
    /// Their nice value.
    pub nice: Option<i64>,
    /// The CPU quota of the run's control group, in CPUs. `null`: unlimited.
    pub cpu_quota: Option<f64>,
}
