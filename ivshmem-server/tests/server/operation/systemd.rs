//! Sockets that systemd opened, and what it is told.

use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};

use ivshmem_server::status;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, bind, socket};
use rustix::process::{Signal, kill_process};

use crate::support::harness::{Client, PATIENCE, Process, command, outcome};

/// The command with two inherited sockets, as systemd would start it.
fn activated(clients: impl AsFd, second: impl AsFd, names: &str) -> Command {
    let mut shell = Command::new("sh");
    let script = "exec 3<&0 4<&1 0</dev/null 1>&2; LISTEN_PID=$$ exec \"$0\" \"$@\"";
    shell.args(["-c", script]).arg(command().get_program());
    shell.env("LISTEN_FDS", "2").env("LISTEN_FDNAMES", names).stderr(Stdio::null());
    shell.stdin(Stdio::from(clients.as_fd().try_clone_to_owned().unwrap()));
    shell.stdout(Stdio::from(second.as_fd().try_clone_to_owned().unwrap()));
    shell
}

fn told(systemd: &UnixDatagram) -> String {
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
fn it_serves_on_sockets_that_it_inherits_says_when_it_is_ready_and_leaves_them_in_place() {
    let folder = tempfile::tempdir().unwrap();
    let [socket, asked] = ["socket", "status"].map(|name| folder.path().join(name));
    let (clients, questions) = (listen(&socket, 0o640), listen(&asked, 0o644));
    let systemd = UnixDatagram::bind(folder.path().join("notify")).unwrap();
    systemd.set_read_timeout(Some(PATIENCE)).unwrap();

    // A client that waited before the start is the first peer.
    let mut early = Client::connect(&socket);
    let mut command = activated(&clients, &questions, "ivshmem:status");
    command.env("NOTIFY_SOCKET", folder.path().join("notify")).args(["-S", "/nonexistent/unused"]);
    let mut server = Process::spawn(&mut command);
    assert_eq!(told(&systemd).trim(), "READY=1");
    early.join(1);
    assert_eq!(early.id().0, 0);
    let status = status::query(&asked).unwrap().1;
    assert_eq!((status.socket.as_str(), status.peers.len()), (socket.to_str().unwrap(), 1));

    kill_process(server.pid(), Signal::TERM).unwrap();
    assert_eq!(told(&systemd).trim(), "STOPPING=1");
    early.sees_the_end();
    assert!(server.wait().success());
    for (path, mode) in [(&socket, 0o640), (&asked, 0o644)] {
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, mode, "{}", path.display());
    }

    // The next start serves who came meanwhile.
    let mut next = Client::connect(&socket);
    let _server = Process::spawn(&mut activated(&clients, &questions, "ivshmem:status"));
    next.join(1);
    assert_eq!(next.id().0, 0);
}

#[test]
fn sockets_whose_purpose_is_unclear_are_status_2_with_the_cure() {
    let folder = tempfile::tempdir().unwrap();
    let [one, other] = ["one", "other"].map(|name| listen(&folder.path().join(name), 0o600));
    let output = activated(&one, &other, "a:b").stderr(Stdio::piped()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("FileDescriptorName=status"), "{said}");
}

#[test]
fn a_socket_that_does_not_listen_is_status_2_with_the_cure() {
    let folder = tempfile::tempdir().unwrap();
    let listening = listen(&folder.path().join("listening"), 0o600);
    let (connection, _other_end) = UnixStream::pair().unwrap();
    let bound = socket(AddressFamily::UNIX, SocketType::STREAM, None).unwrap();
    bind(&bound, &SocketAddrUnix::new(folder.path().join("bound")).unwrap()).unwrap();
    for deaf in [OwnedFd::from(connection), bound] {
        for mut command in
            [activated(&deaf, &listening, "clients:status"), activated(&listening, &deaf, "clients:status")]
        {
            let output = command.stderr(Stdio::piped()).output().unwrap();
            let said = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(2), "{said}");
            assert!(said.contains("does not listen") && said.contains("Accept=no"), "{said}");
        }
    }
}

#[test]
fn what_is_meant_for_another_process_or_for_none_is_not_taken() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing/socket");
    for whose in [&["LISTEN_PID=1"][..], &["LISTEN_PID="], &["--unset=LISTEN_PID"]] {
        let mut shell = Command::new("env");
        let output = shell
            .args(whose)
            .arg("LISTEN_FDS=1")
            .arg(command().get_program())
            .args(["-S", missing.to_str().unwrap()])
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("cannot listen at"), "{whose:?}: {said}");
        assert_eq!(output.status.code(), outcome(&["-S", missing.to_str().unwrap()]).0);
    }
}
