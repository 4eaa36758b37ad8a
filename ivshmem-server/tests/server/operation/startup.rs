//! Clients that connect as soon as the socket's path exists.

use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::{fs, hint};

use crate::support::harness::{ChildGuard, TestClient, command, run};

/// Connects as soon as the path exists, without any pause. Returns the first permissions of the path as well.
fn connect_at_once(socket: &Path) -> Result<(UnixStream, u32), ErrorKind> {
    loop {
        let Ok(metadata) = fs::symlink_metadata(socket) else {
            hint::spin_loop();
            continue;
        };
        let stream = UnixStream::connect(socket).map_err(|error| error.kind())?;
        return Ok((stream, metadata.permissions().mode() & 0o777));
    }
}

/// Alternates between a mode that the umask allows and one that it does not.
fn start_repeatedly(count: usize) {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("socket");
    for start in 0..count {
        let expected = if start % 2 == 0 { 0o600 } else { 0o666 };
        let mut server = command();
        server.arg("-S").arg(&socket).args(["-l", "4K", "--socket-mode", &format!("{expected:o}")]);
        let process = ChildGuard::spawn(server.stderr(Stdio::null()));
        let (stream, mode) = connect_at_once(&socket).unwrap_or_else(|kind| panic!("start {start}: {kind}"));
        assert_eq!(mode, expected, "start {start}: the mode is right from the start, whatever the umask");
        let mut client = TestClient::from_stream(stream);
        client.join(1);
        assert_eq!(client.id().0, 0, "start {start}");
        // A killed server leaves its socket.
        drop(process);
        fs::remove_file(&socket).unwrap();
    }
}

#[test]
fn serves_a_client_as_soon_as_the_path_exists() {
    start_repeatedly(300);
}

#[test]
#[ignore = "10,000 starts: some minutes"]
fn none_of_ten_thousand_starts_refuses_its_first_client() {
    start_repeatedly(10_000);
}

#[test]
fn the_kernel_shows_the_given_path() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("socket");
    let mut server = command();
    let _process = ChildGuard::spawn(server.arg("-S").arg(&socket).stderr(Stdio::null()));
    let _client = connect_at_once(&socket).unwrap();
    let table = fs::read_to_string("/proc/net/unix").unwrap();
    let listening =
        |line: &str| line.ends_with(socket.to_str().unwrap()) && line.split_whitespace().nth(3) == Some("00010000");
    assert!(table.lines().any(listening), "{table}");
}

#[test]
fn replaces_a_stale_socket_and_serves_the_next_client() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("socket");
    for _ in 0..50 {
        drop(UnixListener::bind(&socket).unwrap());
        let stale = fs::symlink_metadata(&socket).unwrap();
        let mut server = command();
        let _process = ChildGuard::spawn(server.arg("-S").arg(&socket).stderr(Stdio::null()));
        let is_new = |metadata: &fs::Metadata| metadata.modified().unwrap() != stale.modified().unwrap();
        while !fs::symlink_metadata(&socket).is_ok_and(|metadata| is_new(&metadata)) {
            hint::spin_loop();
        }
        let mut client = TestClient::connect(&socket);
        client.join(1);
        fs::remove_file(&socket).unwrap();
    }
}

#[test]
fn binds_each_spelling_of_a_path_and_removes_it() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path();
    fs::create_dir(directory.join("sub")).unwrap();
    let absolute = directory.join("s");
    for path in ["s", "./s", "sub/s", "sub/../s", "/proc/self/cwd/s", absolute.to_str().unwrap()] {
        // As left by a killed start.
        let hidden = directory.join(path).with_file_name(".s.bind");
        if !path.starts_with("/proc") {
            fs::create_dir_all(hidden.join("var")).unwrap();
            drop(UnixListener::bind(hidden.join("var/s")).unwrap());
        }
        let mut server = command();
        let mut process = ChildGuard::spawn(server.args(["-S", path]).current_dir(directory).stderr(Stdio::null()));
        let socket = if path.starts_with("/proc") { absolute.clone() } else { directory.join(path) };
        let (stream, _) = connect_at_once(&socket).unwrap();
        assert_eq!(stream.peer_addr().unwrap().as_pathname(), Some(Path::new(path)));
        let credentials = rustix::net::sockopt::socket_peercred(&stream).unwrap();
        assert_eq!(credentials.pid, process.pid(), "{path}: the listening process is the server");
        rustix::process::kill_process(process.pid(), rustix::process::Signal::TERM).unwrap();
        assert!(process.wait().success());
        assert!(!socket.exists() && !hidden.exists(), "{path}");
    }
}

#[test]
fn keeps_a_users_directory_with_the_hidden_name() {
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join(".s.bind/directory/keep");
    fs::create_dir_all(kept.parent().unwrap()).unwrap();
    fs::write(&kept, "data").unwrap();
    let mut server = command();
    let mut process = ChildGuard::spawn(server.args(["-S", "s"]).current_dir(folder.path()).stderr(Stdio::null()));
    let _client = connect_at_once(&folder.path().join("s")).unwrap();
    rustix::process::kill_process(process.pid(), rustix::process::Signal::TERM).unwrap();
    assert!(process.wait().success());
    assert_eq!(fs::read_to_string(&kept).unwrap(), "data");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "only that directory is left");
}

#[test]
fn a_fifo_as_directory_of_the_socket_does_not_block() {
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let (code, log) = run(&["-S", fifo.join("socket").to_str().unwrap()]);
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("cannot listen at"), "{log}");
}
