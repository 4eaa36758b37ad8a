//! The subcommands status, man and completions.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use client::status::ServerStatus;
use rustix::process::geteuid;

use crate::support::harness::{ServerProcess, command};

fn run_status(args: &[&str]) -> (Option<i32>, String, String) {
    let output = command().arg("status").args(args).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn prints_the_status_as_table_or_json() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("status").to_str().unwrap().to_owned();
    let server = ServerProcess::start_in(folder, command(), &["-n", "2", "-l", "1M", "--status-socket", &path]);
    let mut first = server.member(2);
    let second = server.member(2);
    first.expect_join(second.id(), 2);

    let (code, document, _) = run_status(&["--status-socket", &path, "--json"]);
    let status: ServerStatus = serde_json::from_str(&document).unwrap();
    assert_eq!((code, status.schema_version, status.memory.size_bytes), (Some(0), 1, 1 << 20));
    let peers: Vec<_> = status.peers.iter().map(|peer| (peer.id, peer.queued_notices, peer.messages_sent)).collect();
    // Version, id, memory, and two vectors for each.
    assert_eq!(peers, [(0, 0, 7), (1, 0, 7)]);
    assert_eq!(status.messages_sent, 14);
    assert_eq!(i32::try_from(status.pid).unwrap(), server.pid().as_raw_nonzero().get());

    let (code, table, _) = run_status(&["--status-socket", &path]);
    assert_eq!(code, Some(0));
    for text in ["1M in a sealed memfd; seals: shrink, grow, seal", "peers: 2 of ", "next id 2, 65534 free, 0 held"] {
        assert!(table.contains(text), "{text:?} is not in\n{table}");
    }
    let own = std::process::id().to_string();
    assert_eq!(table.lines().filter(|line| line.split_whitespace().any(|word| word == own)).count(), 2, "{table}");
}

#[test]
fn other_sockets_are_errors_with_hints() {
    let server = ServerProcess::start(&[]);
    let socket = server.socket();
    let (code, _, error) = run_status(&["--status-socket", socket.with_file_name("none").to_str().unwrap()]);
    assert_eq!(code, Some(3));
    assert!(error.contains("no server answers at") && error.contains("--status-socket"), "{error}");
    assert!(error.contains("No such file"), "the cause: {error}");
    // A client socket stays open.
    let (code, _, error) = run_status(&["--status-socket", socket.to_str().unwrap()]);
    assert_eq!(code, Some(1));
    assert!(error.contains("is not a status socket"), "{error}");
    // A refusal is not JSON.
    let full = ServerProcess::start(&["--allow-uid", "4000000000"]);
    let (code, _, error) = run_status(&["--status-socket", full.socket().to_str().unwrap()]);
    assert_eq!(code, Some(1));
    assert!(error.contains("is not a status socket"), "{error}");
}

#[test]
fn missing_permission_is_a_separate_error() {
    let (folder, mut client) = (tempfile::tempdir().unwrap(), command());
    let path = folder.path().join("status");
    if geteuid().is_root() {
        // Root may connect to any socket. So the command runs as another user, from a directory that this user can access.
        let copy = folder.path().join("ivshmem-server");
        fs::copy(client.get_program(), &copy).unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        client = Command::new("setpriv");
        client.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(copy);
    }
    let _server = ServerProcess::start_in(folder, command(), &["--status-socket", path.to_str().unwrap()]);
    fs::set_permissions(&path, Permissions::from_mode(0o000)).unwrap();
    let output = client.args(["status", "--status-socket"]).arg(&path).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("permission denied at") && !error.contains("no server answers"), "{error}");
}

#[test]
fn man_pages_and_completions_name_the_flags() {
    let folder = tempfile::tempdir().unwrap();
    let missing = command().arg("man").arg(folder.path().join("man1")).output().unwrap();
    let error = String::from_utf8(missing.stderr).unwrap();
    assert!(error.contains("(mkdir -p ") && !folder.path().join("man1").exists(), "{error}");
    assert_eq!(missing.status.code(), Some(1));
    fs::write(folder.path().join("file"), "").unwrap();
    let file = command().arg("man").arg(folder.path().join("file")).output().unwrap();
    let error = String::from_utf8(file.stderr).unwrap();
    assert!(error.contains("give the path of a directory") && !error.contains("mkdir"), "{error}");
    fs::create_dir(folder.path().join("man1")).unwrap();
    assert!(command().arg("man").arg(folder.path().join("man1")).status().unwrap().success());
    for (name, text) in [("ivshmem-server.1", "\\-\\-stall\\-timeout"), ("ivshmem-server-status.1", "\\-\\-json")] {
        let page = fs::read_to_string(folder.path().join("man1").join(name)).unwrap();
        assert!(page.contains(text), "{page}");
    }
    let page = fs::read_to_string(folder.path().join("man1/ivshmem-server.1")).unwrap();
    for text in [".SH EXAMPLES\n.EX\nivshmem\\-server\n", ".SH SIGNALS", "SIGHUP", ".SH \"EXIT STATUS\""] {
        assert!(page.contains(text), "{text:?} is not in\n{page}");
    }
    let output = command().args(["completions", "bash"]).output().unwrap();
    assert!(output.status.success());
    assert!(String::from_utf8(output.stdout).unwrap().contains("--stall-timeout"));
}
