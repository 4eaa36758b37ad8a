//! Sockets inherited from systemd, and notifications to it.

use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};

use client::status;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, bind, socket};
use rustix::process::{Signal, kill_process};

use crate::support::harness::{ChildGuard, TIMEOUT, TestClient, command, run};

/// The command with two inherited sockets, as systemd starts it.
fn activated(clients: impl AsFd, second: impl AsFd, names: &str) -> Command {
    let mut shell = Command::new("sh");
    let script = "exec 3<&0 4<&1 0</dev/null 1>&2; LISTEN_PID=$$ exec \"$0\" \"$@\"";
    shell.args(["-c", script]).arg(command().get_program());
    shell.env("LISTEN_FDS", "2").env("LISTEN_FDNAMES", names).stderr(Stdio::null());
    shell.stdin(Stdio::from(clients.as_fd().try_clone_to_owned().unwrap()));
    shell.stdout(Stdio::from(second.as_fd().try_clone_to_owned().unwrap()));
    shell
}

fn notification(systemd: &UnixDatagram) -> String {
    let mut bytes = [0; 256];
    let count = systemd.recv(&mut bytes).unwrap();
    String::from_utf8(bytes[..count].to_vec()).unwrap()
}

fn listen(path: &Path, mode: u32) -> UnixListener {
    let listener = UnixListener::bind(path).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    listener
}

#[test]
fn serves_inherited_sockets_and_keeps_them() {
    let folder = tempfile::tempdir().unwrap();
    let [socket, status_path] = ["socket", "status"].map(|name| folder.path().join(name));
    let (clients, status_socket) = (listen(&socket, 0o640), listen(&status_path, 0o644));
    let systemd = UnixDatagram::bind(folder.path().join("notify")).unwrap();
    systemd.set_read_timeout(Some(TIMEOUT)).unwrap();

    // A client that connected before the start is the first peer.
    let mut early = TestClient::connect(&socket);
    let mut command = activated(&clients, &status_socket, "ivshmem:status");
    command.env("NOTIFY_SOCKET", folder.path().join("notify")).args(["-S", "/nonexistent/unused"]);
    let mut server = ChildGuard::spawn(&mut command);
    assert_eq!(notification(&systemd).trim(), "READY=1");
    early.join(1);
    assert_eq!(early.id().0, 0);
    let status = status::read(&status_path, TIMEOUT).unwrap();
    assert_eq!((status.socket.as_str(), status.peers.len()), (socket.to_str().unwrap(), 1));

    kill_process(server.pid(), Signal::TERM).unwrap();
    assert_eq!(notification(&systemd).trim(), "STOPPING=1");
    early.read_to_end();
    assert!(server.wait().success());
    for (path, mode) in [(&socket, 0o640), (&status_path, 0o644)] {
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, mode, "{}", path.display());
    }

    // The next start serves clients that connected before it.
    let mut next = TestClient::connect(&socket);
    let _server = ChildGuard::spawn(&mut activated(&clients, &status_socket, "ivshmem:status"));
    next.join(1);
    assert_eq!(next.id().0, 0);
}

#[test]
fn ambiguous_sockets_are_status_2_with_a_hint() {
    let folder = tempfile::tempdir().unwrap();
    let [first, second] = ["first", "second"].map(|name| listen(&folder.path().join(name), 0o600));
    let output = activated(&first, &second, "a:b").stderr(Stdio::piped()).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains("FileDescriptorName=status"), "{error}");
}

#[test]
fn a_socket_that_does_not_listen_is_status_2_with_a_hint() {
    let folder = tempfile::tempdir().unwrap();
    let listening = listen(&folder.path().join("listening"), 0o600);
    let (connection, _other_end) = UnixStream::pair().unwrap();
    let bound = socket(AddressFamily::UNIX, SocketType::STREAM, None).unwrap();
    bind(&bound, &SocketAddrUnix::new(folder.path().join("bound")).unwrap()).unwrap();
    for unusable in [OwnedFd::from(connection), bound] {
        for mut command in
            [activated(&unusable, &listening, "clients:status"), activated(&listening, &unusable, "clients:status")]
        {
            let output = command.stderr(Stdio::piped()).output().unwrap();
            let error = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(2), "{error}");
            assert!(error.contains("does not listen") && error.contains("Accept=no"), "{error}");
        }
    }
}

#[test]
fn ignores_sockets_for_another_process() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing/socket");
    for pid in [&["LISTEN_PID=1"][..], &["LISTEN_PID="], &["--unset=LISTEN_PID"]] {
        let mut shell = Command::new("env");
        let output = shell
            .args(pid)
            .arg("LISTEN_FDS=1")
            .arg(command().get_program())
            .args(["-S", missing.to_str().unwrap()])
            .output()
            .unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.contains("cannot listen at"), "{pid:?}: {error}");
        assert_eq!(output.status.code(), run(&["-S", missing.to_str().unwrap()]).0);
    }
}
