//! Two guests and two host processes on one server: doorbells between all of them, and one leaves.

use std::fs;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::unistd::Pid;

use crate::support::guest::ShellGuest;
use crate::support::terminal::Terminal;
use crate::support::xtask;

// Ids in the order of joining. A host peer joined for a moment between the guests.
const PEER: u16 = 0;
const FIRST: u16 = 1;
const HOST: u16 = 2;
const SECOND: u16 = 4;

#[test]
#[ignore = "starts two guests"]
fn two_guests_ring_each_other_and_the_host() {
    let mut first = ShellGuest::start("--vectors 2 --size 1M --mem 256M --peers 1", "");
    let server = first.socket().display().to_string();
    let alone = eventfds_of(first.qemu());
    let mut host = Terminal::start(piped(first.host_peer().arg("shell")));
    host.type_line("peers");
    host.expect(&format!("peer {HOST}  2 vectors (this one)"));
    // QEMU reads the server's notifications asynchronously.
    assert_eventfds(first.qemu(), alone + 2, "the host process's vectors");

    let mut second = ShellGuest::start(&format!("--server {server} --mem 256M"), "");
    host.expect(&format!("peer {SECOND} joined"));
    assert_eventfds(first.qemu(), alone + 4, "and the second guest's");

    second.ok("echo -n seen by all | guest-uio write 8192");
    assert_eq!(first.ok("guest-uio read 8192 11; echo").lines, ["seen by all"]);

    // A read of /dev/uioN returns the number of doorbells since the driver was bound.
    assert_eq!(read_while(&mut second, 1, || first.ok(&format!("guest-uio ring {SECOND} 1"))), "01000000");
    assert_eq!(read_while(&mut first, 0, || second.ok(&format!("guest-uio ring {FIRST} 0"))), "01000000");
    assert_eq!(read_while(&mut first, 0, || host.type_line(&format!("int {FIRST} 0"))), "02000000");
    assert_eq!(read_while(&mut second, 1, || host.type_line(&format!("int {SECOND} 1"))), "02000000");
    first.ok(&format!("guest-uio ring {HOST} 0"));
    assert_eq!(host.expect("receive"), format!("receive notification from peer_id={HOST} vector=0"));
    second.ok(&format!("guest-uio ring {HOST} 1"));
    assert_eq!(host.expect("receive"), format!("receive notification from peer_id={HOST} vector=1"));
    second.ok(&format!("guest-uio ring {PEER} 1"));
    first.expect(&format!("receive notification from peer_id={PEER} vector=1"));
    assert_eq!(events(&mut first), ["2", "0"]);
    assert_eq!(events(&mut second), ["0", "2"]);

    second.end();
    host.expect(&format!("peer {SECOND} left"));
    assert_eventfds(first.qemu(), alone + 2, "the second guest's are closed");
    // A ring to the guest that left is lost, one to the host peer arrives, without a second disconnect notice before it.
    first.ok(&format!("guest-uio ring {SECOND} 0; guest-uio ring {HOST} 1"));
    let since = host.until("receive");
    assert_eq!(since, [format!("receive notification from peer_id={HOST} vector=1")]);
    assert_eq!(events(&mut first), ["2", "0"]);

    first.end();
    let mut last = host.until("no new peer can join");
    // All output on the other stream precedes the answer to this command.
    host.type_line("dump");
    last.extend(host.until("our_id"));
    for id in [FIRST, PEER] {
        assert_eq!(last.iter().filter(|line| **line == format!("peer {id} left")).count(), 1, "{last:?}");
    }
}

#[test]
#[ignore = "part of the VM tests"]
fn missing_server_has_exit_status_3() {
    let output = xtask("vm --server /nowhere/socket").output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{stderr}");
    assert!(stderr.contains("/nowhere/socket") && stderr.contains("ivshmem-server"), "{stderr}");
}

fn piped(command: &mut Command) -> Command {
    let mut shell = Command::new(command.get_program());
    shell.args(command.get_args()).stdout(Stdio::piped()).stderr(Stdio::piped());
    shell
}

/// Blocks in a read of a vector's device while `ring` runs. Returns the read bytes in hexadecimal.
fn read_while<R>(guest: &mut ShellGuest, vector: u16, ring: impl FnOnce() -> R) -> String {
    guest.ok(&format!("dd if=/dev/uio{vector} of=/tmp/total bs=4 count=1 & reader=$!; blocked $reader"));
    ring();
    guest.ok("wait $reader");
    guest.ok("xxd -p /tmp/total").lines.concat()
}

/// The driver's event count of each vector, which must equal the kernel's interrupt count.
fn events(guest: &mut ShellGuest) -> Vec<String> {
    let events = guest.ok("cat /sys/class/uio/uio0/event /sys/class/uio/uio1/event").lines;
    let interrupts = guest.ok("grep uio_pci_msix-v /proc/interrupts | while read n count rest; do echo $count; done");
    assert_eq!(events, interrupts.lines);
    events
}

/// Waits until a process has this number of eventfds.
#[track_caller]
fn assert_eventfds(process: Pid, count: usize, what: &str) {
    let start = Instant::now();
    while eventfds_of(process) != count {
        let held = eventfds_of(process);
        assert!(start.elapsed() < Duration::from_secs(20), "{what}: {held} eventfds, not {count}");
        sleep(Duration::from_millis(20));
    }
}

/// The number of a process's eventfds.
fn eventfds_of(process: Pid) -> usize {
    let open = fs::read_dir(format!("/proc/{process}/fd")).unwrap().filter_map(Result::ok);
    open.filter(|entry| fs::read_link(entry.path()).is_ok_and(|to| to.ends_with("anon_inode:[eventfd]"))).count()
}
