//! Guests with several ivshmem devices and with hot-plug: each command selects the right device, or reports
//! the reason.

use crate::support::guest::ShellGuest;

/// Two plain devices with the lowest addresses.
const TWO_PLAIN: &str = "-object memory-backend-ram,id=a,size=1M,share=on -device ivshmem-plain,memdev=a \
                         -object memory-backend-ram,id=b,size=1M,share=on -device ivshmem-plain,memdev=b";
const TWO_SLOTS: &str =
    "-device pcie-root-port,id=slot1,chassis=1,slot=1 -device pcie-root-port,id=slot2,chassis=2,slot=2";
const PULLED: &str = "0000:01:00.0";

#[test]
#[ignore = "starts a guest"]
fn finds_doorbell_device_after_two_plain_ones() {
    let mut guest = ShellGuest::start_after(TWO_PLAIN, "--vectors 2", "");
    guest.ok("grep -qx uio_pci_msix-v0 /sys/bus/pci/devices/0000:00:03.0/uio/uio*/name");
    let probe = guest.ok("guest-uio probe");
    probe.assert_contains("0000:00:03.0 (ivshmem-doorbell)");
    probe.assert_contains("other     0000:00:01.0 (ivshmem-plain, no driver)");
    guest.ok("guest-uio check --vectors 2 --count 10");
    guest
        .ok("guest-uio wait --timeout 60s > /tmp/count & waiter=$!; blocked $waiter; guest-uio ring 0 0; wait $waiter");
    assert_eq!(guest.ok("cat /tmp/count").lines, ["1"]);
    assert_eq!(guest.ok("guest-uio unbind").lines, ["unbound 0000:00:03.0 from uio_pci_msix"]);
    assert_eq!(guest.ok("guest-uio bind").lines, ["bound 0000:00:03.0 to uio_pci_msix"]);

    // The plain devices by their addresses.
    guest.ok("echo -n plain | guest-uio --device 00:02.0 write 64");
    assert_eq!(guest.ok("guest-uio --device 0000:00:02.0 read 64 5; echo").lines, ["plain"]);
    let refused = guest.run("guest-uio --device 0000:00:01.0 wait");
    assert_eq!(refused.status, 2, "{refused:?}");
    refused.assert_contains("0000:00:01.0 is ivshmem-plain");
    guest.end();
}

#[test]
#[ignore = "starts a guest"]
fn several_doorbell_devices_are_listed_and_not_guessed() {
    let mut guest = ShellGuest::start("--size 1M", TWO_SLOTS);
    guest.plug_doorbell("second", "slot1", 1);
    guest.await_device(PULLED);
    let both = "0000:00:01.0 (ivshmem-doorbell, uio_pci_msix), 0000:01:00.0 (ivshmem-doorbell, no driver)";
    for verb in ["wait", "ring 0 0", "check", "respond", "bind", "unbind", "probe", "read 0 1", "write 0 < /dev/null"] {
        let refused = guest.run(&format!("guest-uio {verb}"));
        assert_eq!(refused.status, 2, "{verb}: {refused:?}");
        refused.assert_contains(both);
        refused.assert_contains("--device ADDRESS");
    }

    guest.ok("guest-uio --device 0000:01:00.0 bind");
    guest.ok("guest-uio --device 0000:01:00.0 check --count 10");
    let id =
        guest.ok("guest-uio --device 01:00.0 probe --json | sed -n 's/.*\"id\": \\([0-9]*\\).*/\\1/p'").lines.concat();
    guest.ok("guest-uio --device 0000:01:00.0 wait --timeout 60s > /tmp/count & waiter=$!; blocked $waiter");
    guest.ok(&format!("guest-uio --device 0000:00:01.0 ring {id} 0; wait $waiter"));
    assert_eq!(guest.ok("cat /tmp/count").lines, ["1"]);
    guest.end();
}

#[test]
#[ignore = "starts a guest"]
fn plain_device_plugged_in_first_is_not_mistaken() {
    let mut guest = ShellGuest::start("--size 1M --driver none", TWO_SLOTS);
    guest.ok("insmod /lib/modules/uio.ko; insmod /lib/modules/uio_pci_msix.ko");
    guest.ok("echo 1 > /sys/bus/pci/devices/0000:00:01.0/remove");
    guest.plug_plain("plain", "slot1");
    guest.await_device(PULLED);
    guest.run("guest-uio probe").assert_contains("ivshmem-plain: memory can be used");
    for verb in ["wait", "ring 0 0", "check"] {
        let refused = guest.run(&format!("guest-uio {verb}"));
        assert_eq!(refused.status, 3, "{verb}: {refused:?}");
        refused.assert_contains("no ivshmem-doorbell device in this machine");
    }

    guest.plug_doorbell("doorbell", "slot2", 1);
    guest.await_device("0000:02:00.0");
    assert_eq!(guest.ok("guest-uio bind").lines, ["bound 0000:02:00.0 to uio_pci_msix"]);
    guest.ok("guest-uio check --count 10");
    guest.end();
}

#[test]
#[ignore = "starts a guest"]
fn device_without_address_space_is_named() {
    let mut guest = ShellGuest::start("--size 64M --driver none", TWO_SLOTS);
    guest.ok("insmod /lib/modules/uio.ko; insmod /lib/modules/uio_pci_msix.ko");
    guest.plug_doorbell("large", "slot1", 1);
    guest.await_device(PULLED);
    for verb in ["bind", "wait", "read 0 1", "probe"] {
        let refused = guest.run(&format!("guest-uio --device {PULLED} {verb}"));
        assert_eq!(refused.status, 3, "{verb}: {refused:?}");
        refused.assert_contains("BAR2 of 0000:01:00.0 has no address");
        refused.assert_contains("pref64-reserve");
    }
    guest.end();
}

#[test]
#[ignore = "starts a guest"]
fn unplugged_device_ends_a_wait() {
    let mut guest = ShellGuest::start("--size 1M --driver none", TWO_SLOTS);
    guest.ok("insmod /lib/modules/uio.ko; insmod /lib/modules/uio_pci_msix.ko");
    guest.plug_doorbell("pulled", "slot1", 1);
    guest.await_device(PULLED);
    guest.ok(&format!("guest-uio --device {PULLED} bind"));
    guest.ok(&format!("guest-uio --device {PULLED} wait 2> /tmp/waiter & waiter=$!; blocked $waiter"));
    guest.monitor("device_del pulled");
    assert_eq!(guest.run("wait $waiter").status, 1);
    let text = guest.ok("cat /tmp/waiter");
    text.assert_contains("0000:01:00.0 was unplugged, or taken from its driver, while it was in use");
    guest.ok(&format!("until [ ! -e /sys/bus/pci/devices/{PULLED} ]; do sleep 0.1; done"));
    assert_eq!(guest.run(&format!("guest-uio --device {PULLED} wait")).status, 2);
    guest.end();
}

#[test]
#[ignore = "starts a guest"]
fn unplugged_vfio_device_ends_a_wait() {
    let mut guest = ShellGuest::start("--size 1M --driver vfio-pci", TWO_SLOTS);
    guest.plug_doorbell("pulled", "slot1", 1);
    guest.await_device(PULLED);
    guest.ok(&format!("guest-uio --device {PULLED} bind --driver vfio-pci"));
    guest.ok(&format!("guest-uio --device {PULLED} check --count 10"));
    guest.ok(&format!("guest-uio --device {PULLED} wait 2> /tmp/waiter & waiter=$!"));
    // Blocked in read(2), system call 0: the function's name in the kernel differs between versions.
    guest.ok("until grep -q '^0 ' /proc/$waiter/syscall; do sleep 0.1; done");
    guest.monitor("device_del pulled");
    assert_eq!(guest.run("wait $waiter").status, 1);
    guest.ok("cat /tmp/waiter").assert_contains("0000:01:00.0 was unplugged, or taken from its driver");
    guest.ok(&format!("until [ ! -e /sys/bus/pci/devices/{PULLED} ]; do sleep 0.1; done"));
    guest.end();
}

#[test]
#[ignore = "starts a guest"]
fn vectors_missing_at_the_server_are_named() {
    let mut guest = ShellGuest::start("--size 1M --vectors 2 --driver none", TWO_SLOTS);
    guest.ok("insmod /lib/modules/uio.ko; insmod /lib/modules/uio_pci_msix.ko");
    guest.plug_doorbell("wide", "slot1", 40);
    guest.await_device(PULLED);
    guest.ok(&format!("guest-uio --device {PULLED} bind"));
    let probe = guest.run(&format!("guest-uio --device {PULLED} probe"));
    assert_eq!(probe.status, 3, "{probe:?}");
    probe.assert_contains("the device has 40 vectors and its server 2: interrupts do not arrive on vectors 2-39");
    probe.assert_contains("ivshmem-server -n 40");
    probe.assert_contains("vectors=2");
    let check = guest.run(&format!("guest-uio --device {PULLED} check --vectors 40 --count 10"));
    assert_eq!(check.status, 1, "{check:?}");
    assert_eq!(check.lines.iter().filter(|line| line.starts_with("FAIL")).count(), 1, "{check:?}");
    check.assert_contains("FAIL  every vector fires");
    guest.end();
}
