//! What the guest's kernel says of its machine. Each reading costs a file in /proc, none is needed for measuring.

use std::fs;

/// Characters of the command line that are told: the text to the host has a page for all facts together.
const MOST_OF_COMMAND_LINE: usize = 1_500;

/// The processor's name.
#[must_use]
pub fn cpu_model() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// The kernel's command line, as far as there is room for it.
#[must_use]
pub fn command_line() -> Option<String> {
    let text = fs::read_to_string("/proc/cmdline").ok()?;
    Some(text.trim().chars().take(MOST_OF_COMMAND_LINE).collect())
}

/// Share of the time since boot, over all CPUs, that the host gave to others, in per cent. `None` before the first tick.
#[must_use]
pub fn steal_percent() -> Option<f64> {
    steal_in(&fs::read_to_string("/proc/stat").ok()?)
}

/// The first line of /proc/stat (proc(5)): ticks as user, nice, system, idle, iowait, irq, softirq, steal; what follows
/// is contained in user and nice.
fn steal_in(stat: &str) -> Option<f64> {
    let ticks: Vec<u64> = stat.lines().next()?.split_whitespace().skip(1).map_while(|word| word.parse().ok()).collect();
    let total: u64 = ticks.iter().take(8).sum();
    (total > 0).then(|| ticks.get(7).copied().unwrap_or(0) as f64 * 100.0 / total as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steal_is_the_eighth_number_over_the_sum_of_eight() {
        assert_eq!(steal_in("cpu  10 0 20 60 0 0 0 10 99 99\ncpu0 1 2 3"), Some(10.0));
        assert_eq!(steal_in("cpu  0 0 0 0 0 0 0 0 0 0"), None);
        assert_eq!(steal_in(""), None);
    }
}
