//! How often an interrupt was taken, from /proc/interrupts.

use std::fs;
use std::io;

/// Sum over all CPUs of the lines whose last word contains `name`; `None` if no line does.
pub fn count(name: &str) -> io::Result<Option<u64>> {
    Ok(count_in(&fs::read_to_string("/proc/interrupts")?, name))
}

fn count_in(table: &str, name: &str) -> Option<u64> {
    let lines: Vec<&str> =
        table.lines().filter(|l| l.split_whitespace().last().is_some_and(|w| w.contains(name))).collect();
    let per_cpu =
        |line: &str| -> u64 { line.split_whitespace().skip(1).map_while(|word| word.parse::<u64>().ok()).sum() };
    (!lines.is_empty()).then(|| lines.into_iter().map(per_cpu).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "            CPU0       CPU1
   4:        300          0   IO-APIC   4-edge      ttyS0
  25:       1000         24   PCI-MSI-0000:00:03.0   0-edge      uio_pci_msix-v0@pci:0000:00:03.0
  26:          7          0   PCI-MSI-0000:00:03.0   1-edge      uio_pci_msix-v1@pci:0000:00:03.0
 NMI:          0          0   Non-maskable interrupts
";

    #[test]
    fn a_line_is_summed_over_its_cpus() {
        assert_eq!(count_in(TABLE, "uio_pci_msix-v0@"), Some(1024));
        assert_eq!(count_in(TABLE, "uio_pci_msix-v"), Some(1031));
    }

    #[test]
    fn an_interrupt_that_is_not_listed_is_not_zero_but_unknown() {
        assert_eq!(count_in(TABLE, "vfio-msix"), None);
    }
}
