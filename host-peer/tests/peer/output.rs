//! Closed or full stdout and stderr: an exit status, never a panic.

use std::fs::OpenOptions;
use std::io::Write;
use std::process::{Command, Stdio};

use ivshmem_server::Config;
use ivshmem_server::memory::Backing;

use crate::host_peer;
use test_support::real_server::RealServer;
use test_support::run_to_end;

const VERBS: [&[&str]; 5] =
    [&["list"], &["list", "--json"], &["read", "0", "64"], &["check"], &["completions", "bash"]];

/// Connects stdout to a pipe without a reader.
fn unread(command: &mut Command) -> &mut Command {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    command.stdout(writer).stderr(Stdio::piped())
}

/// Status and stderr of a command that must not print.
fn outcome(command: &mut Command) -> (Option<i32>, String) {
    let output = command.spawn().unwrap().wait_with_output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn closed_pipe_is_success() {
    let server = RealServer::start(1);
    for verb in VERBS {
        let (status, said) = outcome(unread(&mut host_peer(&server.socket())).args(verb));
        assert_eq!(status, Some(0), "{verb:?}");
        assert!(said.is_empty() || verb[0] == "list" && said.lines().count() == 1, "{verb:?}: {said}");
    }
    // Only the status matters here.
    let (status, said) = outcome(unread(&mut host_peer("/nowhere".as_ref())).arg("list"));
    assert_eq!(status, Some(3), "{said}");
}

#[test]
fn full_disk_is_a_reported_failure() {
    let server = RealServer::start(1);
    for verb in VERBS {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let (status, said) = outcome(host_peer(&server.socket()).args(verb).stdout(full).stderr(Stdio::piped()));
        assert_eq!(status, Some(1), "{verb:?}: {said}");
        assert!(said.contains("cannot write to stdout: No space left"), "{verb:?}: {said}");
    }
}

#[test]
fn unwritable_help_is_a_failure() {
    for flag in ["--help", "--version", "-h"] {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let (status, said) = outcome(host_peer("unused".as_ref()).arg(flag).stdout(full).stderr(Stdio::piped()));
        assert_eq!((status, said.contains("cannot write to stdout: No space left")), (Some(1), true), "{flag}: {said}");
        assert_eq!(outcome(unread(host_peer("unused".as_ref()).arg(flag))), (Some(0), String::new()), "{flag}");
    }
}

#[test]
fn shell_ends_when_its_output_is_closed() {
    let server = RealServer::start(1);
    let mut command = host_peer(&server.socket());
    let mut shell = unread(command.arg("shell").stdin(Stdio::piped())).spawn().unwrap();
    // Kept open: the output ends the shell.
    let mut typed = shell.stdin.take().unwrap();
    writeln!(typed, "peers").unwrap();
    let output = shell.wait_with_output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8(output.stderr).unwrap().as_str()), (Some(0), ""));
    let (status, list, _) = run_to_end(host_peer(&server.socket()).arg("list"));
    assert_eq!((status, list.lines().count()), (Some(0), 2), "it left: {list}");
}

#[test]
fn full_stderr_does_not_change_the_status() {
    // Unsealed memory: every command prints a warning.
    let backing = Backing::Directory(std::env::temp_dir());
    let server = RealServer::with(&Config { backing, size: 1 << 20, ..Config::default() });
    let verbs: [(&[&str], i32); 6] = [
        (&["list"], 0),
        (&["read", "0", "64"], 0),
        (&["ring", "9", "0"], 1),
        (&["read", "1M", "1"], 1),
        (&["wait", "--timeout", "10ms"], 1),
        (&["shell"], 1),
    ];
    for (verb, expected) in verbs {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut command = host_peer(&server.socket());
        let mut child = command.args(verb).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(full).spawn().unwrap();
        // Input for the shell; other commands may have ended.
        let _ = child.stdin.take().unwrap().write_all(b"nonsense\n");
        assert_eq!(child.wait().unwrap().code(), Some(expected), "{verb:?}");
    }
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let status = host_peer("/nowhere".as_ref()).arg("list").stderr(full).status().unwrap();
    assert_eq!(status.code(), Some(3));
}
