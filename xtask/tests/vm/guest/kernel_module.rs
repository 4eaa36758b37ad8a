//! `uio_pci_msix` in a guest: binding, readers, removal, refusals.

use crate::support::guest::ShellGuest;

const DEVICE: &str = "/sys/bus/pci/devices/0000:00:0?.0";

#[test]
#[ignore = "starts a guest"]
fn every_vector_works_after_rebinding() {
    let mut guest = ShellGuest::start("--vectors 2", "");
    for _ in 0..2 {
        let names = guest.ok("cat /sys/class/uio/*/name").lines;
        assert_eq!(names, ["uio_pci_msix-v0", "uio_pci_msix-v1"]);
        guest.ok("guest-uio check --vectors 2 --count 10");

        guest.ok("guest-uio unbind");
        assert_eq!(guest.ok("ls /sys/class/uio").lines, [""; 0]);
        assert_eq!(guest.run("grep uio_pci_msix /proc/interrupts").status, 1);
        guest.ok("guest-uio bind");
    }
    guest.end();
}

#[test]
#[ignore = "starts a guest"]
fn open_vector_prevents_unloading() {
    let mut guest = ShellGuest::start("", "");
    guest.ok("exec 3</dev/uio0");
    let refused = guest.run("rmmod uio_pci_msix");
    assert_ne!(refused.status, 0);
    refused.assert_contains("Resource temporarily unavailable");

    guest.ok("exec 3<&-");
    guest.ok("rmmod uio_pci_msix");
    assert_eq!(guest.ok("ls /sys/class/uio").lines, [""; 0]);

    // driver_override is still set, so loading binds the device.
    guest.ok("insmod /lib/modules/uio_pci_msix.ko");
    guest.ok("guest-uio check --count 10");
    guest.end();
}

#[test]
#[ignore = "starts a guest"]
fn signal_ends_a_blocked_reader() {
    let mut guest = ShellGuest::start("", "");
    guest.ok("dd if=/dev/uio0 of=/dev/null bs=4 count=1 & reader=$!; blocked $reader; kill $reader");
    assert_eq!(guest.run("wait $reader").status, 128 + 15);
    guest.ok("guest-uio check --count 10");
    guest.end();
}

#[test]
#[ignore = "starts a guest"]
fn one_doorbell_wakes_both_readers_of_a_vector() {
    let mut guest = ShellGuest::start("", "");
    guest.ok("dd if=/dev/uio0 of=/tmp/a bs=4 count=1 & a=$!; blocked $a");
    guest.ok("dd if=/dev/uio0 of=/tmp/b bs=4 count=1 & b=$!; blocked $b");
    guest.ok("guest-uio ring 0 0");
    guest.ok("wait $a");
    guest.ok("wait $b");
    assert_eq!(guest.ok("cat /tmp/a /tmp/b | xxd -p").lines, ["0100000001000000"]);
    guest.end();
}

#[test]
#[ignore = "starts a guest"]
fn nonblocking_read_returns_eagain() {
    let mut guest = ShellGuest::start("", "");
    guest.take_uio_client();
    assert_eq!(guest.ok("uio-client try /dev/uio0").lines, ["read: Resource temporarily unavailable"]);
    guest.end();
}

#[test]
#[ignore = "starts a guest"]
fn stamps_cannot_be_forged() {
    let mut guest = ShellGuest::start("", "");
    guest.take_uio_client();
    let refused = ["mmap: Permission denied", "mprotect: Permission denied"];
    assert_eq!(guest.ok("uio-client forge /dev/uio0").lines, refused);
    guest.end();
}

#[test]
#[ignore = "starts a guest"]
fn unbinding_ends_a_reader_and_keeps_its_mappings() {
    let mut guest = ShellGuest::start("", "");
    guest.take_uio_client();
    guest
        .ok("dd if=/dev/uio0 of=/dev/null bs=4 count=1 & reader=$!; blocked $reader; guest-uio ring 0 0; wait $reader");
    guest.ok("uio-client hold /dev/uio0 > /tmp/holder & holder=$!; blocked $holder");
    guest.ok("guest-uio wait 2> /tmp/waiter & waiter=$!; blocked $waiter");
    guest.ok("guest-uio unbind");
    guest.ok("wait $holder");
    assert_eq!(guest.run("wait $waiter").status, 1);
    assert_eq!(guest.ok("cat /tmp/holder").lines, ["read: Input/output error", "stamped: 1", "memory: 42"]);
    guest.ok("cat /tmp/waiter").assert_contains("Input/output error");

    // Their resources are released: the device works again.
    guest.ok("guest-uio bind && guest-uio check --count 10");
    guest.end();
}

#[test]
#[ignore = "starts a guest"]
fn unplugging_ends_a_reader_with_an_error() {
    let mut guest = ShellGuest::start("--size 1M --driver none", "-device pcie-root-port,id=slot1,chassis=1,slot=1");
    guest.take_uio_client();
    guest.ok("insmod /lib/modules/uio.ko; insmod /lib/modules/uio_pci_msix.ko");
    guest.plug_doorbell("pulled", "slot1", 1);
    guest.await_device("0000:01:00.0");
    guest.ok("guest-uio --device 0000:01:00.0 bind");
    guest.ok("uio-client hold /dev/uio0 > /tmp/holder & holder=$!; blocked $holder");

    guest.monitor("device_del pulled");
    guest.ok("wait $holder");
    assert_eq!(guest.ok("cat /tmp/holder").lines[0], "read: Input/output error");
    guest.ok("until [ ! -e /sys/bus/pci/devices/0000:01:00.0 ]; do sleep 0.1; done");
    guest.ok("rmmod uio_pci_msix");
    guest.end();
}

#[test]
#[ignore = "starts a guest"]
fn device_without_msi_x_uses_its_pin() {
    /// QEMU's edu device (docs/specs/edu): this store raises its interrupt, the next one clears it.
    const RAISE: &str = "devmem $((bar + 0x60)) 32 1";
    const END: &str = "devmem $((bar + 0x64)) 32 1";
    /// Bit 10 of the command register: the pin is disabled.
    const DISABLED: &str = "echo $(($(od -An -tu1 -j5 -N1 $edu/config) >> 2 & 1))";

    let mut guest = ShellGuest::start("--driver none", "-device edu");
    guest.ok("insmod /lib/modules/uio.ko; insmod /lib/modules/uio_pci_msix.ko");
    guest.ok(
        "edu=$(dirname $(grep -l 0x11e8 /sys/bus/pci/devices/*/device)); bar=$(cut -d' ' -f1 $edu/resource | head -n1)",
    );
    guest.ok("echo uio_pci_msix > $edu/driver_override; basename $edu > /sys/bus/pci/drivers/uio_pci_msix/bind");
    assert_eq!(guest.ok("cat $edu/uio/*/name").lines, ["uio_pci_msix-v0"]);
    guest.ok("dmesg").assert_contains("no MSI-X: one interrupt pin");
    // The UIO core ends the list at a gap, which a missing BAR2 must not leave.
    assert_eq!(guest.ok("cat $edu/uio/*/maps/map?/name").lines, ["registers", "stamps"]);

    for total in ["01000000", "02000000"] {
        assert_eq!(guest.ok(DISABLED).lines, ["0"]);
        guest.ok("dd if=/dev/uio0 of=/tmp/total bs=4 count=1 & reader=$!; blocked $reader");
        guest.ok(RAISE);
        guest.ok("wait $reader");
        assert_eq!(guest.ok("xxd -p /tmp/total").lines, [total]);
        assert_eq!(guest.ok(DISABLED).lines, ["1"]);
        guest.ok(END);
        guest.ok(r"printf '\001\000\000\000' > /dev/uio0");
    }
    guest.ok(r"printf '\000\000\000\000' > /dev/uio0");
    assert_eq!(guest.ok(DISABLED).lines, ["1"]);
    guest.end();
}

#[test]
#[ignore = "starts a guest"]
fn refuses_device_without_interrupts() {
    let mut guest = ShellGuest::start("--mode plain", "");
    guest.ok("insmod /lib/modules/uio.ko; insmod /lib/modules/uio_pci_msix.ko");
    assert_eq!(guest.run("guest-uio bind").status, 1);
    guest.ok("dmesg").assert_contains("the device has no interrupts: neither MSI-X nor a pin");
    guest.end();
}

#[test]
#[ignore = "starts a guest"]
fn memory_can_be_moved_for_a_write_back_mapping() {
    let mut guest = ShellGuest::start("", "");
    guest.ok(&format!("cat {DEVICE}/bar2")).assert_contains("below 4 GiB, not cached");
    guest.ok("rmmod uio_pci_msix; insmod /lib/modules/uio_pci_msix.ko move_bar2=1");
    guest.ok(&format!("cat {DEVICE}/bar2")).assert_contains("above 4 GiB, write-back");
    guest.ok("guest-uio check --count 10");
    guest.end();
}
