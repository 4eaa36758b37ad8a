//! Guests with wide physical addresses, gigabytes of shared memory, and memory of their own above 4 GiB.

use std::io::Write;
use std::process::Stdio;

use crate::support::guest::ShellGuest;

/// Shared memory, memory of the guest, CPU model. QEMU uses the last `-cpu`.
const GUESTS: [(u64, &str, &str); 3] = [
    (4 << 30, "5G", "-cpu max,phys-bits=46"),
    (8 << 30, "512M", "-cpu max,phys-bits=52"),
    (64 << 20, "5G", "-cpu max,phys-bits=52"),
];

#[test]
#[ignore = "starts guests"]
fn large_memory_and_wide_addresses_work() {
    for (bytes, own, processor) in GUESTS {
        let mut guest = ShellGuest::start(&format!("--size {bytes} --mem {own}"), processor);
        guest.ok("guest-uio probe").assert_contains("memory, doorbell and interrupts can be used");
        guest.ok("guest-uio check --count 10");
        assert_memory_is_shared(&mut guest, bytes);

        // Write-back mapping, above 4 GiB.
        guest.ok("rmmod uio_pci_msix; insmod /lib/modules/uio_pci_msix.ko move_bar2=1");
        guest.ok("cat /sys/bus/pci/devices/0000:00:01.0/bar2").assert_contains("above 4 GiB, write-back");
        guest.ok("guest-uio check --count 10");
        assert_memory_is_shared(&mut guest, bytes);
        guest.end();
    }
}

/// Checks the first and the last bytes, in both directions.
#[track_caller]
fn assert_memory_is_shared(guest: &mut ShellGuest, bytes: u64) {
    for offset in [0, bytes - 8] {
        guest.ok(&format!("echo -n to-host- | guest-uio write {offset}"));
        let read = guest.host_peer().args(["read", &offset.to_string(), "8"]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&read.stdout), "to-host-", "offset {offset}");
        let mut write = guest.host_peer();
        let mut write = write.args(["write", &offset.to_string()]).stdin(Stdio::piped()).spawn().unwrap();
        write.stdin.take().unwrap().write_all(b"to-guest").unwrap();
        assert!(write.wait().unwrap().success());
        assert_eq!(guest.ok(&format!("guest-uio read {offset} 8; echo")).lines, ["to-guest"], "offset {offset}");
    }
}
