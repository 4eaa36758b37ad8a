//! QEMU's device as a client, if QEMU is installed. The vCPUs do not run, so emulation is fast enough.

use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Instant;

use proto::wire::PeerId;

use crate::support::harness::{ServerProcess, TIMEOUT, command};
use crate::support::leak_check::eventually;

/// Waits for the socket's path and starts QEMU, as a test runner does.
const QEMU: &str = "until [ -S socket ]; do :; done; exec qemu-system-x86_64 -nodefaults -no-user-config -display none \
    -machine q35 -S -monitor stdio -chardev socket,path=socket,id=ivshmem \
    -device ivshmem-doorbell,chardev=ivshmem,vectors=${VECTORS:-1}";

fn is_installed() -> bool {
    Command::new("qemu-system-x86_64").arg("--version").output().is_ok_and(|output| output.status.success())
}

fn qemu(folder: &Path, vectors: u16) -> Child {
    let mut shell = Command::new("sh");
    shell.args(["-c", QEMU]).current_dir(folder).env("VECTORS", vectors.to_string());
    shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Ends QEMU by its monitor, or kills it after a timeout.
fn quit(mut qemu: Child) -> Output {
    let _ = qemu.stdin.take().unwrap().write_all(b"quit\n");
    let start = Instant::now();
    while qemu.try_wait().unwrap().is_none() {
        if start.elapsed() > TIMEOUT {
            qemu.kill().unwrap();
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    qemu.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn qemu_started_once_the_path_exists_joins_and_leaves() {
    if !is_installed() {
        return;
    }
    for _ in 0..3 {
        let folder = tempfile::tempdir().unwrap();
        // Started first, so QEMU waits for the path.
        let qemu = qemu(folder.path(), 2);
        let server = ServerProcess::start_in(folder, command(), &["-n", "2", "-l", "1M"]);
        server.log_until("peer 0 joined");
        let output = quit(qemu);
        assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
        server.log_until("peer 0 left");
    }
}

#[test]
fn a_pair_of_qemus_gets_the_same_ids_after_a_restart() {
    if !is_installed() {
        return;
    }
    let server = ServerProcess::start(&["-n", "1", "-l", "1M"]);
    let folder = server.socket().parent().unwrap().to_owned();
    for _ in 0..2 {
        let first = qemu(&folder, 1);
        server.log_until("peer 0 joined");
        let second = qemu(&folder, 1);
        server.log_until("peer 1 joined");
        for qemu in [first, second] {
            assert!(quit(qemu).status.success());
        }
        server.log_until("peers=0");
    }
    assert_eq!(server.member(1).id(), PeerId(0));
}

#[test]
fn a_refused_qemu_ends_with_an_error() {
    if !is_installed() {
        return;
    }
    let server = ServerProcess::start(&["--max-peers", "1", "-l", "1M"]);
    let _first = server.member(1);
    let output = quit(qemu(server.socket().parent().unwrap(), 1));
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains("server sent version -1, expecting 0"), "{}", text(&output.stderr));
    eventually("the refusal is logged", || !server.log_until("peer limit (1) reached").is_empty());
}
