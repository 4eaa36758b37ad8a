//! The commands for scripts: output and exit status.

use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;

use client::{ClientEvent, PeerChange};
use ivshmem_server::Config;
use ivshmem_server::memory::Backing;
use proto::wire::{PeerId, Vector, encode};
use rustix::net::SendFlags;
use serde_json::{Value, json};

use crate::host_peer;
use test_support::LONG;
use test_support::mock_server::{INIT_MESSAGES, MockServer, eventfds, send_messages, try_send_many};
use test_support::real_server::RealServer;
use test_support::run_to_end;

/// Runs a command with input on stdin.
fn fed(command: &mut Command, input: &[u8]) -> (Option<i32>, Vec<u8>, String) {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A command that fails early does not read.
    let _ = child.stdin.take().unwrap().write_all(input);
    let output = child.wait_with_output().unwrap();
    (output.status.code(), output.stdout, String::from_utf8(output.stderr).unwrap())
}

fn document(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn list_prints_peers_as_text_and_json() {
    let server = RealServer::start(3);
    let mut present = server.client();
    let (status, out, error) = run_to_end(host_peer(&server.socket()).arg("list"));
    assert_eq!(status, Some(0));
    assert_eq!(out, "memory  1048576 bytes\npeer 1  3 vectors (this one)\npeer 0  3 vectors\n");
    assert!(error.contains("joined as peer 1") && error.contains("--status-socket"), "{error}");
    assert!(error.contains("Its id is held as long as a peer stays that was notified of it"), "{error}");
    // Until the server has noticed that it left.
    let left = ClientEvent::Peer(PeerChange::Left { peer: PeerId(1) });
    while present.next(Some(LONG)).unwrap() != Some(left) {}
    let (status, out, _) = run_to_end(host_peer(&server.socket()).args(["list", "--json"]));
    assert_eq!(status, Some(0));
    let expected = json!({
        "peer": 2, "vectors": 3,
        "memory": { "bytes": 1_048_576, "may_shrink": false },
        "peers": [
            { "peer": 2, "vectors": 3, "self": true, "pid": null },
            { "peer": 0, "vectors": 3, "self": false, "pid": null },
        ],
        "source": "join",
    });
    assert_eq!(document(&out), expected);
}

/// A server with a status socket of this name.
fn with_status_socket(name: &str) -> (RealServer, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let status = folder.path().join(name);
    let config = Config { status_socket: Some(status.clone()), size: 1 << 20, vectors: 3, ..Config::default() };
    (RealServer::at(folder, &config), status)
}

#[test]
fn list_uses_no_id_with_a_status_socket() {
    let (server, _) = with_status_socket("socket.status");
    let (status, out, error) = run_to_end(host_peer(&server.socket()).arg("list"));
    assert_eq!((status, out.as_str(), error.as_str()), (Some(0), "memory  1048576 bytes\nno peers\n", ""));
    let first = server.client();
    assert_eq!(first.id(), PeerId(0));
    let (status, out, _) = run_to_end(host_peer(&server.socket()).args(["list", "--json"]));
    assert_eq!(status, Some(0));
    let expected = json!({
        "peer": null, "vectors": 3,
        "memory": { "bytes": 1_048_576, "may_shrink": false },
        "peers": [{ "peer": 0, "vectors": 3, "self": false, "pid": std::process::id() }],
        "source": "status",
    });
    assert_eq!(document(&out), expected);
}

#[test]
fn list_warns_of_memory_that_was_resized() {
    let folder = tempfile::tempdir().unwrap();
    let name = format!("host-peer-list-{}", std::process::id());
    let config = Config {
        status_socket: Some(folder.path().join("socket.status")),
        size: 1 << 20,
        backing: Backing::Shm(name.parse().unwrap()),
        ..Config::default()
    };
    let server = RealServer::at(folder, &config);
    let object = std::fs::File::options().write(true).open(format!("/dev/shm/{name}")).unwrap();
    for (size, change) in [(524_288, "shrunk"), (3_145_728, "enlarged")] {
        object.set_len(size).unwrap();
        let (status, out, error) = run_to_end(host_peer(&server.socket()).arg("list"));
        assert_eq!((status, out.as_str()), (Some(0), "memory  1048576 bytes\nno peers\n"));
        assert!(error.contains(&format!("was {change} from 1048576 to {size} bytes")), "{error}");
        assert!(error.contains("the server refuses new clients"), "{error}");
    }
}

#[test]
fn list_accepts_path_of_status_socket() {
    let (server, status_socket) = with_status_socket("elsewhere");
    let _present = server.client();
    let expected = format!("memory  1048576 bytes\npeer 0  3 vectors  pid {}\n", std::process::id());
    for command in [
        host_peer(&status_socket).arg("list"),
        host_peer(&server.socket()).args(["list", "--status-socket"]).arg(&status_socket),
    ] {
        assert_eq!(run_to_end(command), (Some(0), expected.clone(), String::new()));
    }
}

#[test]
fn list_ignores_status_of_another_server() {
    let (server, (other, other_status)) = (RealServer::start(1), with_status_socket("status"));
    let _present = other.client();
    std::os::unix::fs::symlink(other_status, server.socket().with_extension("status")).unwrap();
    let (status, out, _) = run_to_end(host_peer(&server.socket()).arg("list"));
    assert_eq!((status, out.as_str()), (Some(0), "memory  1048576 bytes\npeer 0  1 vector (this one)\n"));
}

#[test]
fn status_socket_as_server_socket_has_a_hint() {
    let (server, status_socket) = with_status_socket("elsewhere");
    for verb in [&["ring", "0", "0"][..], &["wait"], &["read", "0", "1", "--hex"], &["check"], &["shell"]] {
        let (status, out, error) = run_to_end(host_peer(&status_socket).args(verb).stdin(Stdio::null()));
        assert_eq!((status, out.as_str()), (Some(2), ""), "{verb:?}: {error}");
        let hint = format!("join at -S {}", server.socket().display());
        assert!(error.contains("is the status socket of a server") && error.contains(&hint), "{verb:?}: {error}");
    }
    for (path, hint) in [(server.socket(), "is not a status socket"), ("/nowhere".into(), "--status-socket /nowhere")] {
        let (status, _, error) = run_to_end(host_peer("unused".as_ref()).args(["list", "--status-socket"]).arg(&path));
        assert_eq!(status, Some(if path.exists() { 1 } else { 3 }), "{error}");
        assert!(error.contains(hint), "{error}");
    }
}

#[test]
fn lists_more_peers_than_the_soft_file_limit() {
    let server = RealServer::start(16);
    let clients: Vec<UnixStream> = (0..20).map(|_| UnixStream::connect(server.socket()).unwrap()).collect();
    let verb = host_peer(&server.socket());
    let listed = |limit: &str| {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("ulimit {limit} 64; exec \"$0\" \"$@\" list")]);
        run_to_end(shell.arg(verb.get_program()).args(verb.get_args()))
    };
    let (status, out, error) = listed("-Sn");
    assert_eq!(status, Some(0), "{error}");
    assert_eq!(out.lines().filter(|line| line.ends_with("16 vectors")).count(), clients.len());
    // Without a higher limit the error mentions it.
    let (status, _, error) = listed("-n");
    assert_eq!(status, Some(3), "{error}");
    assert!(error.contains("ulimit -n"), "{error}");
}

#[test]
fn ring_repeats_and_names_unknown_peers() {
    let server = RealServer::start(2);
    let present = server.client();
    let (status, out, _) = run_to_end(host_peer(&server.socket()).args(["ring", "0", "1", "--count", "5"]));
    assert_eq!((status, out.as_str()), (Some(0), ""));
    assert_eq!(present.wait(Vector(1), Some(LONG)).unwrap(), Some(5));
    let (status, out, _) = run_to_end(host_peer(&server.socket()).args(["ring", "0", "0", "--json"]));
    assert_eq!((status, document(&out)), (Some(0), json!({ "peer": 0, "vector": 0, "rings": 1 })));
    let (status, _, error) = run_to_end(host_peer(&server.socket()).args(["ring", "9", "0"]));
    assert_eq!(status, Some(1));
    assert!(error.contains("peer 9 is not connected; connected: 0"), "{error}");
}

#[test]
fn wait_counts_doorbells_and_fails_on_too_few() {
    let server = RealServer::start(2);
    let mut present = server.client();
    let mut waiting = host_peer(&server.socket());
    let waiting = thread::spawn(move || run_to_end(waiting.args(["wait", "--vector", "1", "--count", "4"])));
    let peer = loop {
        present.next(Some(LONG)).unwrap();
        if let Some((peer, vectors)) = present.peers().iter().next()
            && vectors.len() == 2
        {
            break *peer;
        }
    };
    for vector in [1, 0, 1, 1, 1] {
        present.ring(peer, Vector(vector)).unwrap();
    }
    let (status, out, error) = waiting.join().unwrap();
    assert_eq!((status, out.as_str()), (Some(0), "4\n"), "{error}");
    assert!(error.contains(&format!("waiting as peer {peer}")), "{error}");

    let (status, out, error) = run_to_end(host_peer(&server.socket()).args(["wait", "--timeout", "20ms"]));
    assert_eq!((status, out.as_str()), (Some(1), ""));
    assert!(error.contains("0 of 1 doorbell arrived on vector 0 within 20ms"), "{error}");
    let (status, out, _) = run_to_end(host_peer(&server.socket()).args(["wait", "--timeout", "20ms", "--json"]));
    assert_eq!(status, Some(1));
    let out = document(&out);
    assert_eq!((&out["rings"], &out["wanted"], &out["in_time"]), (&json!(0), &json!(1), &json!(false)));
    let (status, _, error) = run_to_end(host_peer(&server.socket()).args(["wait", "--vector", "2"]));
    assert_eq!(status, Some(1));
    assert!(error.contains("does not have vector 2; it has 2"), "{error}");
}

#[test]
fn unlimited_wait_ends_with_the_server() {
    let mut server = RealServer::start(1);
    let mut present = server.client();
    let mut waiting = host_peer(&server.socket());
    let waiting = thread::spawn(move || run_to_end(waiting.arg("wait")));
    while present.peers().is_empty() {
        present.poll_events(LONG).unwrap();
    }
    server.stop();
    let (status, _, error) = waiting.join().unwrap();
    assert_eq!(status, Some(1));
    assert!(error.contains("closed the connection"), "{error}");
}

#[test]
fn reads_back_sealed_and_unsealed_memory() {
    for backing in [Backing::Memfd, Backing::Directory(std::env::temp_dir())] {
        let sealed = backing == Backing::Memfd;
        let server = RealServer::with(&Config { backing, size: 1 << 20, ..Config::default() });
        // Another client keeps the memory alive.
        let _present = server.client();
        let (status, _, error) = fed(host_peer(&server.socket()).args(["write", "0x1000"]), b"hello\xff");
        assert_eq!(status, Some(0));
        assert_eq!(error.contains("is not sealed"), !sealed, "{error}");
        let (status, out, _) = fed(host_peer(&server.socket()).args(["read", "4K", "6"]), b"");
        assert_eq!((status, &out[..]), (Some(0), &b"hello\xff"[..]));
        let (status, out, _) = fed(host_peer(&server.socket()).args(["read", "4K", "6", "--hex"]), b"");
        let out = String::from_utf8(out).unwrap();
        assert_eq!(status, Some(0));
        assert_eq!(out, format!("00001000  {:<47}  hello.\n", "68 65 6c 6c 6f ff"));
    }
}

#[test]
fn access_beyond_end_has_no_effect() {
    let server = RealServer::start(1);
    let present = server.client();
    let (status, _, error) = fed(host_peer(&server.socket()).args(["write", "1048570"]), b"seven b");
    assert_eq!(status, Some(1));
    assert!(error.contains("leave the shared memory of 1048576 bytes"), "{error}");
    let mut tail = [1; 6];
    present.read_at(1_048_570, &mut tail).unwrap();
    assert_eq!(tail, [0; 6]);
    for arguments in [["read", "1M", "1"], ["read", "0", "0xffffffffffffffff"], ["read", "0xffffffffffffffff", "2"]] {
        let (status, out, error) = fed(host_peer(&server.socket()).args(arguments), b"");
        assert_eq!((status, out.len()), (Some(1), 0), "{error}");
        assert!(error.contains(" the shared memory of 1048576 bytes"), "{error}");
    }
    let (status, out, _) = fed(host_peer(&server.socket()).args(["read", "0", "1M"]), b"");
    assert_eq!((status, out.len()), (Some(0), 1 << 20));
}

#[test]
fn missing_server_is_status_3_and_wrong_usage_2() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("socket");
    for verb in ["list", "check", "shell", "wait"] {
        let (status, _, error) = run_to_end(host_peer(&socket).arg(verb));
        assert_eq!(status, Some(3), "{verb}: {error}");
        assert!(error.contains("ivshmem-server -S"), "{verb}: {error}");
    }
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    let (status, _, error) = run_to_end(host_peer(&socket).arg("list"));
    assert_eq!(status, Some(3), "{error}");
    std::fs::remove_file(&socket).unwrap();
    std::fs::write(&socket, "").unwrap();
    let (status, _, error) = run_to_end(host_peer(&socket).arg("list"));
    assert_eq!(status, Some(3), "{error}");
    assert!(error.contains("is not a socket"), "{error}");
    for usage in [&["ring", "0"][..], &["read", "0", "many"], &["wait", "--timeout", "soon"], &["ring", "65536", "0"]] {
        assert_eq!(run_to_end(host_peer(&socket).args(usage)).0, Some(2), "{usage:?}");
    }
}

#[test]
fn wrong_values_name_the_expected_ones() {
    let server = RealServer::start(1);
    let (number, duration) = ("expected a whole number from 0 to 65535", "expected a duration above zero with a unit");
    for (usage, expected) in [
        (&["ring", "x", "0"][..], number),
        (&["ring", "0", ""], number),
        (&["ring", "0", "0", "--count", "0"], "expected a whole number of at least 1"),
        (&["wait", "--count", "0"], "expected a whole number of at least 1"),
        (&["wait", "--vector", "1.5"], number),
        (&["ring", "-1", "0"], number),
        (&["ring", "0", "0", "--count", "-1"], "expected a whole number of at least 1"),
        (&["wait", "--timeout", "5"], "expected a duration with a unit, such as 5s or 500ms"),
        (&["check", "--timeout", "5"], duration),
        (&["check", "--timeout", "0s"], duration),
        (&["read", "0x", "1"], "expected a number of bytes"),
    ] {
        let (status, out, error) = run_to_end(host_peer(&server.socket()).args(usage));
        assert_eq!((status, out.as_str()), (Some(2), ""), "{usage:?}");
        assert!(error.contains(expected), "{usage:?}: {error}");
    }
}

#[test]
fn too_long_path_is_wrong_usage() {
    for length in [108, 200] {
        let (status, _, error) = run_to_end(host_peer("x".repeat(length).as_ref()).arg("list"));
        assert_eq!(status, Some(2), "{error}");
        assert!(error.contains(&format!("has {length} bytes, a Unix socket allows at most 107")), "{error}");
    }
    assert_eq!(run_to_end(host_peer("x".repeat(107).as_ref()).arg("list")).0, Some(3));
}

#[test]
fn closed_pipe_is_success() {
    let server = RealServer::with(&Config { size: 8 << 20, ..Config::default() });
    let mut reading = host_peer(&server.socket());
    let mut child = reading.args(["read", "0", "8M"]).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(0));
}

#[test]
fn lost_descriptor_blames_server_or_file_limit() {
    let server = || {
        MockServer::running(|stream| {
            send_messages(stream, &INIT_MESSAGES);
            try_send_many(stream, &encode(2), &[stream.as_fd(); 200], SendFlags::empty()).unwrap();
            Vec::new()
        })
    };
    let (status, _, error) = run_to_end(host_peer(&server().path).arg("list"));
    assert_eq!(status, Some(1), "{error}");
    assert!(error.contains("may carry only one") && !error.contains("ulimit"), "{error}");

    // All vectors are valid, but this process cannot open as many files.
    let server = MockServer::sending(&[&INIT_MESSAGES[..], &eventfds(2, 64)].concat());
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -n 40; exec \"$0\" \"$@\" list"]);
    let verb = host_peer(&server.path);
    let (status, _, error) = run_to_end(shell.arg(verb.get_program()).args(verb.get_args()));
    assert_eq!(status, Some(3), "{error}");
    assert!(error.contains("ulimit -n"), "{error}");
}
