//! As many peers as may be, and not one more.

use std::fs;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, geteuid, prlimit};

use crate::support::harness::{Client, Server, command};
use crate::support::leak_check::eventually;

/// The command under a limit of open files.
fn limited_to(files: u32) -> Command {
    let mut shell = Command::new("sh");
    // Files that the caller of the tests left open count, too.
    let close = "exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-";
    let script = format!("{close}; ulimit -n {files} && exec \"$0\" \"$@\"");
    shell.args(["-c", &script]).arg(command().get_program());
    shell
}

/// The same, without the privilege from which the kernel does not count descriptors under way.
fn counted_up_to(files: u32) -> Command {
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
fn whoever_waits_for_descriptors_that_others_do_not_read_is_shown_and_goes_on_when_those_are_gone() {
    let folder = tempfile::tempdir().unwrap();
    let status = folder.path().join("status");
    let server = Server::start_in(folder, counted_up_to(160), &["--status-socket", &status.display().to_string()]);
    let unread: Vec<Client> = (0..60).map(|_| server.client()).collect();
    server.log_until("a client waits: the kernel counts too many descriptors");
    let mut newcomer = server.client();
    let asked = || ivshmem_server::status::query(&status).unwrap().1;
    assert!(asked().held_up > 0);
    drop(unread);
    newcomer.join(1);
    eventually("nobody is held up", || asked().held_up == 0);
}

/// Tries until a place that somebody left is free.
fn client_at_last(server: &Server) -> Client {
    loop {
        let mut client = server.client();
        if !client.is_refused() {
            return client;
        }
    }
}

#[test]
fn a_client_too_many_is_refused_and_the_others_stay() {
    let server = Server::start(&["--max-peers", "2"]);
    let mut first = server.member(1);
    let second = server.member(1);
    assert!(server.client().is_refused());
    server.log_until("a client was refused: peer limit (2) reached");

    let gone = second.id();
    drop(second);
    let mut third = client_at_last(&server);
    third.join(1);
    first.sees_join(gone, 1);
    first.sees_leave(gone);
    first.sees_join(third.id(), 1);
}

#[test]
fn a_limit_of_descriptors_is_a_limit_of_peers() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start_in(folder, limited_to(48), &["-n", "4"]);
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
    client_at_last(&server).join(4);
}

#[test]
fn a_server_that_runs_out_of_descriptors_refuses_and_goes_on() {
    let server = Server::start(&[]);
    let mut witness = server.member(1);
    let pid = server.pid();
    let count = || fs::read_dir(format!("/proc/{}/fd", pid.as_raw_nonzero())).unwrap().count();
    // What was sent to the witness is closed right behind it.
    let mut open = count();
    loop {
        sleep(Duration::from_millis(20));
        match count() {
            same if same == open => break,
            other => open = other,
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
    witness.sees_join(next.id(), 1);
}

#[test]
fn a_server_without_memory_refuses_and_goes_on() {
    let server = Server::start(&[]);
    let mut witness = server.member(1);
    let pid = server.pid();
    let statm = fs::read_to_string(format!("/proc/{}/statm", pid.as_raw_nonzero())).unwrap();
    let pages: u64 = statm.split_whitespace().next().unwrap().parse().unwrap();
    let own = rustix::process::getrlimit(Resource::As);
    // A little is left, for what is going on; not enough for somebody new.
    let exhausted = Rlimit { current: Some(pages * rustix::param::page_size() as u64 + (1 << 20)), ..own };
    let before = prlimit(Some(pid), Resource::As, exhausted).unwrap();
    for _ in 0..10 {
        assert!(server.client().is_refused());
    }
    server.log_until("MiB of memory left");
    prlimit(Some(pid), Resource::As, before).unwrap();
    let next = server.member(1);
    assert_eq!(next.id().0, 1, "no id was spent on those who were refused");
    witness.sees_join(next.id(), 1);
}

#[test]
fn a_machine_without_descriptors_for_one_peer_is_told_so() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("socket");
    let mut command = limited_to(40);
    let output = command.args(["-n", "256", "-S"]).arg(socket).output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(log.contains("does not fit into the limit of 40 open files"), "{log}");
}

#[test]
fn too_few_open_files_for_the_start_are_status_3_with_a_hint() {
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
