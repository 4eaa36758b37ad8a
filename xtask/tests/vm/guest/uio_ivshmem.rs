//! Programs written for the `uio_ivshmem` driver run unchanged on `uio_pci_msix`.

use std::process::Stdio;

use crate::support::guest::ShellGuest;

#[test]
#[ignore = "starts a guest"]
fn uio_ivshmem_programs_run_unchanged() {
    // The host peer joins first, so it has id 0.
    let mut guest = ShellGuest::start("--vectors 2 --size 4M --peers 1", "");
    guest.take_program("uio_ivshmem_client.c", "client");
    let four_mib = format!("size {}", 4 << 20);
    assert_eq!(guest.ok("client /dev/uio0 id size").lines, ["id 1", &four_mib]);

    // First itself, then a peer.
    assert_eq!(
        guest.ok("client /dev/uio0 ring 1 0 wait ring 1 0 wait").lines,
        ["rang 1 0", "interrupts 1", "rang 1 0", "interrupts 2"]
    );
    let notification = "receive notification from peer_id=0 vector=1";
    let ring = guest.ok("client /dev/uio0 ring 0 1");
    // The peer's line may come before or after the end of the command.
    if !ring.lines.iter().any(|line| line.contains(notification)) {
        guest.expect(notification);
    }
    // Each node has its own vector.
    assert_eq!(guest.ok("client /dev/uio1 ring 1 1 wait").lines, ["rang 1 1", "interrupts 1"]);

    // The first and the last bytes of the memory, in both directions.
    let last = (4 << 20) - 4;
    guest.ok(&format!("client /dev/uio0 put 0 287454020 put {last} 7"));
    assert_eq!(host_reads(&guest, 0), 287_454_020_u32.to_le_bytes());
    assert_eq!(host_reads(&guest, last), 7_u32.to_le_bytes());
    let mut write = guest.host_peer();
    write.args(["write", "4096"]).stdin(Stdio::piped());
    let mut write = write.spawn().unwrap();
    std::io::Write::write_all(&mut write.stdin.take().unwrap(), &99_u32.to_le_bytes()).unwrap();
    assert!(write.wait().unwrap().success());
    assert_eq!(guest.ok("client /dev/uio0 get 4096").lines, ["got 99"]);
    guest.end();
}

#[test]
#[ignore = "starts a guest"]
fn maps_are_registers_memory_and_stamps_in_this_order() {
    let mut guest = ShellGuest::start("", "");
    let names = guest.ok("cat /sys/class/uio/uio0/maps/map?/name").lines;
    assert_eq!(names, ["registers", "memory", "stamps"]);
    guest.end();
}

fn host_reads(guest: &ShellGuest, offset: u32) -> Vec<u8> {
    let output = guest.host_peer().args(["read", &offset.to_string(), "4"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}
