//! How fast the processor may run, and how deep it may sleep: the settings that move latencies most.

use std::collections::BTreeSet;

use report::environment::HostMachine;

use super::tree::Tree;

pub(super) fn read(tree: &Tree, host: &mut HostMachine) {
    let each = |name: &str| -> Option<String> {
        let folder = |cpu| format!("sys/devices/system/cpu/cpu{cpu}/cpufreq/{name}");
        let values: BTreeSet<String> = tree.cpus().into_iter().filter_map(|cpu| tree.text(folder(cpu))).collect();
        Some(values.into_iter().collect::<Vec<_>>().join(", ")).filter(|all| !all.is_empty())
    };
    host.governor = each("scaling_governor");
    host.frequency_driver = each("scaling_driver");
    host.turbo = turbo(tree);
    // A kernel without one says "none".
    host.cpuidle_driver = tree.text("sys/devices/system/cpu/cpuidle/current_driver");
    host.deepest_c_state = deepest_c_state(tree);
}

/// Intel's driver says whether there is none; all others, whether there is.
fn turbo(tree: &Tree) -> Option<bool> {
    let none = tree.number("sys/devices/system/cpu/intel_pstate/no_turbo").map(|none| none == 0);
    none.or_else(|| tree.number("sys/devices/system/cpu/cpufreq/boost").map(|boost| boost == 1))
}

/// The first CPU's; states that somebody disabled are never entered.
fn deepest_c_state(tree: &Tree) -> Option<String> {
    let folder = "sys/devices/system/cpu/cpu0/cpuidle";
    let state = |name: String| {
        let number: u32 = name.strip_prefix("state")?.parse().ok()?;
        let enabled = tree.number(format!("{folder}/{name}/disable")).is_none_or(|disabled| disabled == 0);
        enabled.then_some((number, name))
    };
    let (_, name) = tree.names(folder).into_iter().filter_map(state).max()?;
    let called = tree.text(format!("{folder}/{name}/name"))?;
    let latency = tree.number(format!("{folder}/{name}/latency"));
    Some(latency.map_or_else(|| called.clone(), |us| format!("{called} ({us} µs)")))
}
