//! Limits of peers, descriptors and memory.

use std::fs;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, geteuid, prlimit};

use crate::support::harness::{ServerProcess, TIMEOUT, TestClient, command};
use crate::support::leak_check::eventually;

/// The command under a limit of open files.
fn limited_to(files: u32) -> Command {
    let mut shell = Command::new("sh");
    // Files that the caller of the tests left open would count as well.
    let close = "exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-";
    let script = format!("{close}; ulimit -n {files} && exec \"$0\" \"$@\"");
    shell.args(["-c", &script]).arg(command().get_program());
    shell
}

/// The same, without the capabilities that exempt a process from the limit of in-flight descriptors.
fn limited_in_flight(files: u32) -> Command {
    let limit = format!("--nofile={files}:{files}");
    let mut command = Command::new("prlimit");
    if geteuid().is_root() {
        command = Command::new("setpriv");
        command.args(["--bounding-set=-all", "--inh-caps=-all", "prlimit"]);
    }
    command.arg(limit).arg(self::command().get_program());
    command
}

#[test]
fn a_client_waits_while_unread_descriptors_reach_the_limit() {
    let folder = tempfile::tempdir().unwrap();
    let status = folder.path().join("status");
    let server =
        ServerProcess::start_in(folder, limited_in_flight(160), &["--status-socket", &status.display().to_string()]);
    let unread: Vec<TestClient> = (0..60).map(|_| server.client()).collect();
    server.log_until("a client waits: the kernel counts too many descriptors");
    let mut client = server.client();
    let query = || client::status::read(&status, TIMEOUT).unwrap();
    assert!(query().held_up > 0);
    drop(unread);
    client.join(1);
    eventually("no client waits", || query().held_up == 0);
}

/// Connects until the server accepts the client.
fn accepted_client(server: &ServerProcess) -> TestClient {
    loop {
        let mut client = server.client();
        if !client.is_refused() {
            return client;
        }
    }
}

#[test]
fn refuses_a_client_above_the_peer_limit() {
    let server = ServerProcess::start(&["--max-peers", "2"]);
    let mut first = server.member(1);
    let second = server.member(1);
    assert!(server.client().is_refused());
    server.log_until("a client was refused: peer limit (2) reached");

    let leaving = second.id();
    drop(second);
    let mut third = accepted_client(&server);
    third.join(1);
    first.expect_join(leaving, 1);
    first.expect_leave(leaving);
    first.expect_join(third.id(), 1);
}

#[test]
fn the_limit_of_open_files_limits_the_peers() {
    let folder = tempfile::tempdir().unwrap();
    let server = ServerProcess::start_in(folder, limited_to(48), &["-n", "4"]);
    let mut members = Vec::new();
    loop {
        let mut client = server.client();
        if client.is_refused() {
            break;
        }
        client.join(4);
        members.push(client);
    }
    assert!((1..=9).contains(&members.len()), "{}", members.len());
    for _ in 0..100 {
        assert!(server.client().is_refused());
    }
    members.pop();
    accepted_client(&server).join(4);
}

#[test]
fn refuses_clients_without_free_descriptors() {
    let server = ServerProcess::start(&[]);
    let mut observer = server.member(1);
    let pid = server.pid();
    let count = || fs::read_dir(format!("/proc/{}/fd", pid.as_raw_nonzero())).unwrap().count();
    // The server closes the descriptors sent to the observer soon.
    let mut open = count();
    loop {
        sleep(Duration::from_millis(20));
        match count() {
            unchanged if unchanged == open => break,
            changed => open = changed,
        }
    }
    let own = rustix::process::getrlimit(Resource::Nofile);
    let exhausted = Rlimit { current: Some(open as u64), ..own };
    let before = prlimit(Some(pid), Resource::Nofile, exhausted).unwrap();
    for _ in 0..10 {
        assert!(server.client().is_refused());
    }
    server.log_until("a client was refused");
    prlimit(Some(pid), Resource::Nofile, before).unwrap();
    let next = server.member(1);
    observer.expect_join(next.id(), 1);
}

#[test]
fn refuses_clients_without_free_memory() {
    let server = ServerProcess::start(&[]);
    let mut observer = server.member(1);
    let pid = server.pid();
    let statm = fs::read_to_string(format!("/proc/{}/statm", pid.as_raw_nonzero())).unwrap();
    let pages: u64 = statm.split_whitespace().next().unwrap().parse().unwrap();
    let own = rustix::process::getrlimit(Resource::As);
    // Enough for the present peers, but not for a new one.
    let exhausted = Rlimit { current: Some(pages * rustix::param::page_size() as u64 + (1 << 20)), ..own };
    let before = prlimit(Some(pid), Resource::As, exhausted).unwrap();
    for _ in 0..10 {
        assert!(server.client().is_refused());
    }
    server.log_until("MiB of memory left");
    prlimit(Some(pid), Resource::As, before).unwrap();
    let next = server.member(1);
    assert_eq!(next.id().0, 1, "refused clients use no ids");
    observer.expect_join(next.id(), 1);
}

#[test]
fn too_few_descriptors_for_one_peer_are_status_3() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("socket");
    let mut command = limited_to(40);
    let output = command.args(["-n", "256", "-S"]).arg(socket).output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(log.contains("does not fit into the limit of 40 open files"), "{log}");
}

#[test]
fn too_few_descriptors_to_start_are_status_3_with_a_hint() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("socket");
    for files in [5, 6, 7, 8, 10, 12, 16, 20] {
        let output = limited_to(files).arg("-S").arg(&socket).output().unwrap();
        let log = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(3), "{files}: {log}");
        assert!(log.contains("ulimit"), "{files}: {log}");
        assert!(files < 20 || log.contains("a peer with 1 vector does not fit"), "{files}: {log}");
    }
}
