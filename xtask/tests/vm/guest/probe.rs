//! `guest-uio probe` in every state of a guest, and `guest-uio check` with driver errors.

use crate::bench::results::bar2_map_of;
use crate::support::guest::ShellGuest;

#[track_caller]
fn assert_probe(guest: &mut ShellGuest, status: i32, words: &[&str]) {
    let output = guest.run("guest-uio probe");
    let text = output.lines.join("\n");
    assert_eq!(output.status, status, "{text}");
    for word in words {
        assert!(text.contains(word), "{word:?} is not in\n{text}");
    }
}

#[test]
#[ignore = "starts a guest"]
fn probe_reports_every_state_of_a_doorbell_device() {
    let mut guest = ShellGuest::start("--mode doorbell --vectors 2 --driver uio_pci_msix", "");
    assert_probe(&mut guest, 0, &["uio_pci_msix, 2 vectors", "memory, doorbell and interrupts can be used"]);

    // Without bus mastering, the device can ring, but interrupts do not arrive.
    guest.ok("cd /sys/bus/pci/devices/0000:00:01.0");
    guest.ok(r"printf '\003\004' | dd of=config bs=1 seek=4 conv=notrunc 2>/dev/null");
    assert_probe(&mut guest, 3, &["interrupts do not arrive on vectors 0-1", "bus mastering"]);
    guest.ok(r"printf '\007\004' | dd of=config bs=1 seek=4 conv=notrunc 2>/dev/null");
    assert_probe(&mut guest, 0, &["interrupts can be used"]);

    guest.ok("guest-uio bind --driver uio_pci_generic");
    assert_probe(&mut guest, 3, &["cannot deliver this device's interrupts", "bind --driver uio_pci_msix"]);
    guest.ok("guest-uio unbind");
    assert_probe(&mut guest, 3, &["no driver is bound to 0000:00:01.0", "bind --driver uio_pci_msix"]);

    let refused = guest.run("guest-uio bind --driver vfio-pci");
    assert_eq!(refused.status, 3);
    refused.assert_contains("intel-iommu");
}

#[test]
#[ignore = "starts a guest"]
fn probe_reports_a_plain_and_a_missing_device() {
    let mut guest = ShellGuest::start("--mode plain", "");
    assert_probe(&mut guest, 0, &["ivshmem-plain: memory can be used, there are no doorbells"]);
    guest.ok("echo 1 > /sys/bus/pci/devices/0000:00:01.0/remove");
    assert_probe(&mut guest, 3, &["no ivshmem device", "ivshmem-doorbell,chardev=ivshmem"]);
}

#[test]
#[ignore = "starts a guest"]
fn exit_status_separates_usage_from_missing_devices() {
    let mut guest = ShellGuest::start("--vectors 2 --driver uio_pci_msix", "");
    for (command, status, text) in [
        ("bind --driver igb_uio", 3, "modprobe igb_uio"),
        ("bind --driver vfio-pci", 3, "intel-iommu"),
        ("bind --driver foo", 2, "possible values: "),
        ("wait --vector 9", 3, "vectors=N"),
        ("wait --count 0", 2, "at least 1"),
        ("wait --timeout 5", 2, "with a unit"),
        ("wait --timeout 1s", 1, "received 0 of 1 doorbell within 1s"),
        ("ring x 0", 2, "from 0 to 65535"),
        ("ring 0 256", 2, "from 0 to 255"),
        ("--device 0000:00:09.0 wait", 2, "there is 0000:00:01.0 (ivshmem-doorbell, uio_pci_msix)"),
        ("read 67108860 5", 1, "exceed the memory of 67108864 bytes"),
    ] {
        let ended = guest.run(&format!("guest-uio {command}"));
        assert_eq!(ended.status, status, "{command}: {ended:?}");
        ended.assert_contains(text);
    }
    // The device ignores a missing peer. A vector beyond the device's own causes a note.
    assert_eq!(guest.ok("guest-uio ring 9 0").lines, [""; 0]);
    guest.ok("guest-uio ring 0 9").assert_contains("note: this device has 2 vectors");

    let check = guest.run("guest-uio check --vectors 4 --count 10");
    assert_eq!(check.status, 1);
    let faults: Vec<&String> = check.lines.iter().filter(|line| line.starts_with("FAIL")).collect();
    assert_eq!(faults.len(), 1, "{check:?}");
    assert!(faults[0].contains("vectors 2-3 can be opened") && faults[0].contains("vectors=N"), "{faults:?}");

    for driver in ["uio_pci_generic", "none"] {
        guest.ok(if driver == "none" { "guest-uio unbind" } else { "guest-uio bind --driver uio_pci_generic" });
        for verb in ["wait", "check"] {
            let ended = guest.run(&format!("guest-uio {verb}"));
            assert_eq!(ended.status, 3, "{driver}, {verb}: {ended:?}");
            ended.assert_contains("guest-uio bind --driver uio_pci_msix");
            assert!(!ended.lines.join(" ").contains("--mode"), "{ended:?}");
        }
    }
    guest.end();
}

#[test]
#[ignore = "starts a guest"]
fn loses_none_of_a_hundred_thousand_doorbells() {
    let mut guest = ShellGuest::start("--mode doorbell", "");
    let output = guest.run("guest-uio check --count 100000");
    assert_eq!(output.status, 0, "{}", output.lines.join("\n"));
}

#[test]
#[ignore = "starts a guest"]
fn memory_is_mapped_with_the_requested_type() {
    assert_eq!(bar2_map_of("uc"), "sysfs resource2");
    assert_eq!(bar2_map_of("wc"), "sysfs resource2_wc");
    assert_eq!(bar2_map_of("wb"), "uio_pci_msix map1, above 4 GiB");
}
