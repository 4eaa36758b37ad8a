//! Clients that connect as soon as the socket's path exists.

use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::Stdio;
use std::{fs, hint};

use crate::support::harness::{Client, Process, command};

/// The most impatient client there is: it tries again at once for as long as nothing is there. Returns the permissions that
/// the path had from its first moment.
fn connect_at_once(socket: &Path) -> Result<(UnixStream, u32), ErrorKind> {
    loop {
        let Ok(found) = fs::symlink_metadata(socket) else {
            hint::spin_loop();
            continue;
        };
        let stream = UnixStream::connect(socket).map_err(|error| error.kind())?;
        return Ok((stream, found.permissions().mode() & 0o777));
    }
}

/// With the mode that the umask allows, and with one that it does not.
fn starts(count: usize) {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("socket");
    for start in 0..count {
        let expected = if start % 2 == 0 { 0o600 } else { 0o666 };
        let mut server = command();
        server.arg("-S").arg(&socket).args(["-l", "4K", "--socket-mode", &format!("{expected:o}")]);
        let process = Process::spawn(server.stderr(Stdio::null()));
        let (stream, mode) = connect_at_once(&socket).unwrap_or_else(|kind| panic!("start {start}: {kind}"));
        assert_eq!(mode, expected, "start {start}: the mode is right from the first moment, whatever the umask");
        let mut client = Client::of(stream);
        client.join(1);
        assert_eq!(client.id().0, 0, "start {start}");
        // Killed, it leaves its socket.
        drop(process);
        fs::remove_file(&socket).unwrap();
    }
}

#[test]
fn a_client_that_connects_once_the_path_exists_is_served() {
    starts(300);
}

#[test]
#[ignore = "10,000 starts: some minutes"]
fn of_ten_thousand_starts_none_refuses_its_first_client() {
    starts(10_000);
}

#[test]
fn the_bound_path_is_the_one_that_was_given() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("socket");
    let mut server = command();
    let _process = Process::spawn(server.arg("-S").arg(&socket).stderr(Stdio::null()));
    let _client = connect_at_once(&socket).unwrap();
    let table = fs::read_to_string("/proc/net/unix").unwrap();
    let listening =
        |line: &str| line.ends_with(socket.to_str().unwrap()) && line.split_whitespace().nth(3) == Some("00010000");
    assert!(table.lines().any(listening), "{table}");
}

#[test]
fn a_stale_socket_is_replaced_and_its_next_client_served() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("socket");
    for _ in 0..50 {
        drop(UnixListener::bind(&socket).unwrap());
        let stale = fs::symlink_metadata(&socket).unwrap();
        let mut server = command();
        let _process = Process::spawn(server.arg("-S").arg(&socket).stderr(Stdio::null()));
        let is_new = |found: &fs::Metadata| found.modified().unwrap() != stale.modified().unwrap();
        while !fs::symlink_metadata(&socket).is_ok_and(|found| is_new(&found)) {
            hint::spin_loop();
        }
        let mut client = Client::connect(&socket);
        client.join(1);
        fs::remove_file(&socket).unwrap();
    }
}

#[test]
fn each_spelling_of_a_path_is_bound_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    fs::create_dir(place.join("sub")).unwrap();
    let absolute = place.join("s");
    for path in ["s", "./s", "sub/s", "sub/../s", "/proc/self/cwd/s", absolute.to_str().unwrap()] {
        // What a start that was killed left.
        let hidden = place.join(path).with_file_name(".s.bind");
        if !path.starts_with("/proc") {
            fs::create_dir_all(hidden.join("var")).unwrap();
        }
        let mut server = command();
        let mut process = Process::spawn(server.args(["-S", path]).current_dir(place).stderr(Stdio::null()));
        let socket = if path.starts_with("/proc") { absolute.clone() } else { place.join(path) };
        let (stream, _) = connect_at_once(&socket).unwrap();
        assert_eq!(stream.peer_addr().unwrap().as_pathname(), Some(Path::new(path)));
        let credentials = rustix::net::sockopt::socket_peercred(&stream).unwrap();
        assert_eq!(credentials.pid, process.pid(), "{path}: the process that listens is the server");
        rustix::process::kill_process(process.pid(), rustix::process::Signal::TERM).unwrap();
        assert!(process.wait().success());
        assert!(!socket.exists() && !hidden.exists(), "{path}");
    }
}
