//! CPU frequency and idle states: the settings with the largest effect on latency.

use std::collections::BTreeSet;

use report::result::environment::HostMachine;

use super::sysroot::SysRoot;

pub(super) fn read(sysroot: &SysRoot, host: &mut HostMachine) {
    let each = |name: &str| -> Option<String> {
        let folder = |cpu| format!("sys/devices/system/cpu/cpu{cpu}/cpufreq/{name}");
        let values: BTreeSet<String> = sysroot.cpus().into_iter().filter_map(|cpu| sysroot.text(folder(cpu))).collect();
        Some(values.into_iter().collect::<Vec<_>>().join(", ")).filter(|all| !all.is_empty())
    };
    host.governor = each("scaling_governor");
    host.frequency_driver = each("scaling_driver");
    host.turbo = turbo(sysroot);
    // The kernel writes "none" without a driver.
    host.cpuidle_driver = sysroot.text("sys/devices/system/cpu/cpuidle/current_driver");
    host.deepest_c_state = deepest_c_state(sysroot);
}

/// Intel's driver has `no_turbo`, all others have `boost`.
fn turbo(sysroot: &SysRoot) -> Option<bool> {
    let turbo = sysroot.number("sys/devices/system/cpu/intel_pstate/no_turbo").map(|no_turbo| no_turbo == 0);
    turbo.or_else(|| sysroot.number("sys/devices/system/cpu/cpufreq/boost").map(|boost| boost == 1))
}

/// The deepest enabled idle state of the first CPU.
fn deepest_c_state(sysroot: &SysRoot) -> Option<String> {
    let folder = "sys/devices/system/cpu/cpu0/cpuidle";
    let state = |name: String| {
        let number: u32 = name.strip_prefix("state")?.parse().ok()?;
        let enabled = sysroot.number(format!("{folder}/{name}/disable")).is_none_or(|disabled| disabled == 0);
        enabled.then_some((number, name))
    };
    let (_, name) = sysroot.names(folder).into_iter().filter_map(state).max()?;
    let state = sysroot.text(format!("{folder}/{name}/name"))?;
    let latency = sysroot.number(format!("{folder}/{name}/latency"));
    Some(latency.map_or_else(|| state.clone(), |us| format!("{state} ({us} µs)")))
}
