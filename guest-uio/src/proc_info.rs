//! Facts about the guest from /proc. The measured path does not use them.

use std::fs;

/// Reported characters of the command line: the text area in the shared memory is one page for all facts.
const MAX_COMMAND_LINE: usize = 1_500;

/// The processor's name.
#[must_use]
pub fn cpu_model() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// The kernel's command line, truncated to `MAX_COMMAND_LINE` characters.
#[must_use]
pub fn command_line() -> Option<String> {
    let text = fs::read_to_string("/proc/cmdline").ok()?;
    Some(text.trim().chars().take(MAX_COMMAND_LINE).collect())
}

/// Steal time of all CPUs since boot, in per cent. `None` before the first tick.
#[must_use]
pub fn steal_percent() -> Option<f64> {
    steal_in(&fs::read_to_string("/proc/stat").ok()?)
}

/// The first line of /proc/stat (proc(5)) has ticks of user, nice, system, idle, iowait, irq, softirq and steal. The later
/// columns are included in user and nice.
fn steal_in(stat: &str) -> Option<f64> {
    let ticks: Vec<u64> = stat.lines().next()?.split_whitespace().skip(1).map_while(|word| word.parse().ok()).collect();
    let total: u64 = ticks.iter().take(8).sum();
    (total > 0).then(|| ticks.get(7).copied().unwrap_or(0) as f64 * 100.0 / total as f64)
}

/// Interrupts of all CPUs in the lines of /proc/interrupts whose last word contains `name`; `None` without such a line.
#[must_use]
pub fn interrupt_count(name: &str) -> Option<u64> {
    interrupt_count_in(&fs::read_to_string("/proc/interrupts").ok()?, name)
}

fn interrupt_count_in(table: &str, name: &str) -> Option<u64> {
    let lines: Vec<&str> =
        table.lines().filter(|l| l.split_whitespace().last().is_some_and(|w| w.contains(name))).collect();
    let per_cpu =
        |line: &str| -> u64 { line.split_whitespace().skip(1).map_while(|word| word.parse::<u64>().ok()).sum() };
    (!lines.is_empty()).then(|| lines.into_iter().map(per_cpu).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steal_is_eighth_number_over_sum_of_eight() {
        assert_eq!(steal_in("cpu  10 0 20 60 0 0 0 10 99 99\ncpu0 1 2 3"), Some(10.0));
        assert_eq!(steal_in("cpu  0 0 0 0 0 0 0 0 0 0"), None);
        assert_eq!(steal_in(""), None);
    }

    const TABLE: &str = "            CPU0       CPU1
   4:        300          0   IO-APIC   4-edge      ttyS0
  25:       1000         24   PCI-MSI-0000:00:03.0   0-edge      uio_pci_msix-v0@pci:0000:00:03.0
  26:          7          0   PCI-MSI-0000:00:03.0   1-edge      uio_pci_msix-v1@pci:0000:00:03.0
 NMI:          0          0   Non-maskable interrupts
";

    #[test]
    fn sums_interrupts_of_all_cpus() {
        assert_eq!(interrupt_count_in(TABLE, "uio_pci_msix-v0@"), Some(1024));
        assert_eq!(interrupt_count_in(TABLE, "uio_pci_msix-v"), Some(1031));
    }

    #[test]
    fn unlisted_interrupt_is_none_not_zero() {
        assert_eq!(interrupt_count_in(TABLE, "vfio-msix"), None);
    }
}
