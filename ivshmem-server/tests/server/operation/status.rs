//! The status verb.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use ivshmem_server::status::Status;
use rustix::process::geteuid;

use crate::support::harness::{Server, command};

fn asked(args: &[&str]) -> (Option<i32>, String, String) {
    let output = command().arg("status").args(args).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn it_prints_who_is_there_as_a_table_or_as_the_document() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("status").to_str().unwrap().to_owned();
    let server = Server::start_in(folder, command(), &["-n", "2", "-l", "1M", "--status-socket", &path]);
    let mut first = server.member(2);
    let second = server.member(2);
    first.sees_join(second.id(), 2);

    let (code, document, _) = asked(&["--status-socket", &path, "--json"]);
    let status: Status = serde_json::from_str(&document).unwrap();
    assert_eq!((code, status.schema_version, status.memory.size_bytes), (Some(0), 1, 1 << 20));
    let peers: Vec<_> = status.peers.iter().map(|peer| (peer.id, peer.queued_notices, peer.messages_sent)).collect();
    // Version, id, memory, and two vectors for each.
    assert_eq!(peers, [(0, 0, 7), (1, 0, 7)]);
    assert_eq!(status.messages_sent, 14);
    assert_eq!(i32::try_from(status.pid).unwrap(), server.pid().as_raw_nonzero().get());

    let (code, table, _) = asked(&["--status-socket", &path]);
    assert_eq!(code, Some(0));
    for text in ["1M in a sealed memfd; seals: shrink, grow, seal", "peers: 2 of ", "next id 2, 65534 free, 0 held"] {
        assert!(table.contains(text), "{text:?} is not in\n{table}");
    }
    let own = std::process::id().to_string();
    assert_eq!(table.lines().filter(|line| line.split_whitespace().any(|word| word == own)).count(), 2, "{table}");
}

#[test]
fn a_socket_that_tells_no_status_is_named_with_the_cure() {
    let server = Server::start(&[]);
    let socket = server.socket();
    let (code, _, said) = asked(&["--status-socket", socket.with_file_name("none").to_str().unwrap()]);
    assert_eq!(code, Some(3));
    assert!(said.contains("no server answers at") && said.contains("--status-socket"), "{said}");
    // The socket for clients never ends what it says by itself.
    let (code, _, said) = asked(&["--status-socket", socket.to_str().unwrap()]);
    assert_eq!(code, Some(1));
    assert!(said.contains("is no status socket"), "{said}");
    // A server that refuses clients answers them in no JSON.
    let full = Server::start(&["--allow-uid", "4000000000"]);
    let (code, _, said) = asked(&["--status-socket", full.socket().to_str().unwrap()]);
    assert_eq!(code, Some(1));
    assert!(said.contains("is no status socket"), "{said}");
}

#[test]
fn who_may_not_ask_is_told_so_and_not_that_nobody_answers() {
    let (folder, mut asking) = (tempfile::tempdir().unwrap(), command());
    let path = folder.path().join("status");
    if geteuid().is_root() {
        // Root may ask everybody, so it asks as somebody else, from where that one may run the command.
        let copy = folder.path().join("ivshmem-server");
        fs::copy(asking.get_program(), &copy).unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        asking = Command::new("setpriv");
        asking.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(copy);
    }
    let _server = Server::start_in(folder, command(), &["--status-socket", path.to_str().unwrap()]);
    fs::set_permissions(&path, Permissions::from_mode(0o000)).unwrap();
    let output = asking.args(["status", "--status-socket"]).arg(&path).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("this user may not ask at") && !said.contains("no server answers"), "{said}");
}

#[test]
fn the_man_pages_and_the_completions_name_the_flags() {
    let folder = tempfile::tempdir().unwrap();
    let missing = command().arg("man").arg(folder.path().join("man1")).output().unwrap();
    let said = String::from_utf8(missing.stderr).unwrap();
    assert!(said.contains("(mkdir -p ") && !folder.path().join("man1").exists(), "{said}");
    assert_eq!(missing.status.code(), Some(1));
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
