//! Several virtual machines and host processes on one server: everybody rings everybody, and one leaves.

use std::fs;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::unistd::Pid;

use crate::support::guest::Guest;
use crate::support::terminal::Terminal;
use crate::support::xtask;

// As they join: the server gives ids in that order, and one asked between the guests what it would be given.
const BARE: u16 = 0;
const FIRST: u16 = 1;
const HOST: u16 = 2;
const SECOND: u16 = 4;

#[test]
#[ignore = "starts two guests"]
fn two_guests_on_one_server_ring_each_other_and_the_host_and_hear_once_that_one_left() {
    let mut first = Guest::start("--vectors 2 --size 1M --mem 256M --peers 1", "");
    let server = first.socket().display().to_string();
    let alone = eventfds_of(first.qemu());
    let mut host = Terminal::start(piped(first.host_peer().arg("shell")));
    host.type_line("peers");
    host.expect(&format!("peer {HOST}  2 vectors (this one)"));
    // QEMU reads what the server tells it when it comes to it.
    assert_eventfds(first.qemu(), alone + 2, "the host process's vectors");

    let mut second = Guest::start(&format!("--server {server} --mem 256M"), "");
    host.expect(&format!("peer {SECOND} joined"));
    assert_eventfds(first.qemu(), alone + 4, "and the second guest's");

    second.ok("echo -n seen by all | guest-uio write 8192");
    assert_eq!(first.ok("guest-uio read 8192 11; echo").lines, ["seen by all"]);

    // A read of /dev/uioN returns how many doorbells came since the driver was bound.
    assert_eq!(read_while(&mut second, 1, || first.ok(&format!("guest-uio ring {SECOND} 1"))), "01000000");
    assert_eq!(read_while(&mut first, 0, || second.ok(&format!("guest-uio ring {FIRST} 0"))), "01000000");
    assert_eq!(read_while(&mut first, 0, || host.type_line(&format!("int {FIRST} 0"))), "02000000");
    assert_eq!(read_while(&mut second, 1, || host.type_line(&format!("int {SECOND} 1"))), "02000000");
    first.ok(&format!("guest-uio ring {HOST} 0"));
    assert_eq!(host.expect("receive"), format!("receive notification from peer_id={HOST} vector=0"));
    second.ok(&format!("guest-uio ring {HOST} 1"));
    assert_eq!(host.expect("receive"), format!("receive notification from peer_id={HOST} vector=1"));
    second.ok(&format!("guest-uio ring {BARE} 1"));
    first.expect(&format!("receive notification from peer_id={BARE} vector=1"));
    assert_eq!(events(&mut first), ["2", "0"]);
    assert_eq!(events(&mut second), ["0", "2"]);

    second.end();
    host.expect(&format!("peer {SECOND} left"));
    assert_eventfds(first.qemu(), alone + 2, "the second guest's are closed");
    // A ring to who left is lost; one to who is there arrives, and no second notice came before it.
    first.ok(&format!("guest-uio ring {SECOND} 0; guest-uio ring {HOST} 1"));
    let since = host.until("receive");
    assert_eq!(since, [format!("receive notification from peer_id={HOST} vector=1")]);
    assert_eq!(events(&mut first), ["2", "0"]);

    first.end();
    let mut last = host.until("nobody new will come");
    // What is on another stream than that line comes before the answer to this one.
    host.type_line("dump");
    last.extend(host.until("our_id"));
    for id in [FIRST, BARE] {
        assert_eq!(last.iter().filter(|line| **line == format!("peer {id} left")).count(), 1, "{last:?}");
    }
}

#[test]
#[ignore = "belongs to these"]
fn a_server_that_is_not_there_is_what_the_machine_lacks() {
    let output = xtask("vm --server /nowhere/socket").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("/nowhere/socket") && said.contains("ivshmem-server"), "{said}");
}

fn piped(command: &mut Command) -> Command {
    let mut shell = Command::new(command.get_program());
    shell.args(command.get_args()).stdout(Stdio::piped()).stderr(Stdio::piped());
    shell
}

/// Blocks in a read of a vector's device while somebody rings; what the read returned, in hexadecimal.
fn read_while<R>(guest: &mut Guest, vector: u16, ring: impl FnOnce() -> R) -> String {
    guest.ok(&format!("dd if=/dev/uio{vector} of=/tmp/total bs=4 count=1 & reader=$!; blocked $reader"));
    ring();
    guest.ok("wait $reader");
    guest.ok("xxd -p /tmp/total").lines.concat()
}

/// Doorbells that the driver took, by vector: as many as the interrupts that the kernel counted.
fn events(guest: &mut Guest) -> Vec<String> {
    let events = guest.ok("cat /sys/class/uio/uio0/event /sys/class/uio/uio1/event").lines;
    let interrupts = guest.ok("grep uio_pci_msix-v /proc/interrupts | while read n count rest; do echo $count; done");
    assert_eq!(events, interrupts.lines);
    events
}

/// Waits until a process holds so many eventfds.
#[track_caller]
fn assert_eventfds(process: Pid, count: usize, what: &str) {
    let start = Instant::now();
    while eventfds_of(process) != count {
        let held = eventfds_of(process);
        assert!(start.elapsed() < Duration::from_secs(20), "{what}: {held} eventfds, not {count}");
        sleep(Duration::from_millis(20));
    }
}

/// How many eventfds a process holds.
fn eventfds_of(process: Pid) -> usize {
    let open = fs::read_dir(format!("/proc/{process}/fd")).unwrap().filter_map(Result::ok);
    open.filter(|entry| fs::read_link(entry.path()).is_ok_and(|to| to.ends_with("anon_inode:[eventfd]"))).count()
}
