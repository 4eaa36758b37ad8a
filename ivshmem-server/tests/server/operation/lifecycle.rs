//! Start and stop: replaced, kept and removed files, exit statuses, help.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use ivshmem_server::socket_activation::InheritedSockets;
use ivshmem_server::{Config, Server as Library};
use proto::session::Event;
use proto::wire::PeerId;
use rustix::process::{Signal, kill_process};
use tokio::sync::oneshot;

use crate::support::harness::{ChildGuard, ServerProcess, TIMEOUT, TestClient, command, run};

#[test]
fn signals_end_it_with_status_0_and_remove_its_files() {
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let folder = tempfile::tempdir().unwrap();
        let pid_file = folder.path().join("pid");
        let pid_file = pid_file.to_str().unwrap().to_owned();
        // Under nohup these tests would run with SIGHUP ignored.
        let mut unignored = Command::new("env");
        unignored.arg("--default-signal=HUP").arg(command().get_program());
        let server = ServerProcess::start_in(folder, unignored, &["-F", "-p", &pid_file]);
        let pid = fs::read_to_string(&pid_file).unwrap();
        assert_eq!(pid.trim(), server.pid().as_raw_nonzero().to_string());
        let _client = server.member(1);
        let (status, folder) = server.stop(signal);
        assert_eq!(status.code(), Some(0), "{signal:?}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}

#[test]
fn sighup_under_nohup_does_not_end_it() {
    let mut nohup = Command::new("nohup");
    nohup.arg(command().get_program()).stdin(Stdio::null());
    let server = ServerProcess::start_in(tempfile::tempdir().unwrap(), nohup, &[]);
    kill_process(server.pid(), Signal::HUP).unwrap();
    let _still_served = server.member(1);
    let (status, _folder) = server.stop(Signal::TERM);
    assert_eq!(status.code(), Some(0));
}

#[test]
fn a_stop_notifies_each_peer_that_the_others_left() {
    let server = ServerProcess::start(&["-n", "2"]);
    let mut first = server.member(2);
    let mut second = server.member(2);
    let mut third = server.member(2);
    // This one has not completed its handshake.
    let mut late = server.client();
    late.event();
    server.log_until("peer 3 joined");
    let (status, _folder) = server.stop(Signal::TERM);
    assert_eq!(status.code(), Some(0));

    first.expect_join(PeerId(1), 2);
    first.expect_join(PeerId(2), 2);
    first.expect_join(PeerId(3), 2);
    second.expect_join(PeerId(2), 2);
    second.expect_join(PeerId(3), 2);
    third.expect_join(PeerId(3), 2);
    late.join(2);
    assert_eq!(late.id(), PeerId(3));
    for (client, others) in
        [(&mut first, [1, 2, 3]), (&mut second, [0, 2, 3]), (&mut third, [0, 1, 3]), (&mut late, [0, 1, 2])]
    {
        for other in others {
            client.expect_leave(PeerId(other));
        }
        assert!(client.message().is_none());
    }
}

/// Serves in a separate thread until it is stopped.
fn serve(server: Library) -> (oneshot::Sender<()>, JoinHandle<()>) {
    let (stop, stopped) = oneshot::channel::<()>();
    let thread = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(server.run(async { stopped.await.unwrap() })).unwrap();
    });
    (stop, thread)
}

/// Stops before any client is accepted.
fn serve_none(server: Library) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(server.run(async {})).unwrap();
}

#[test]
fn a_stop_refuses_pending_clients() {
    // QEMU's device would spin on a plain end of the stream.
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("socket");
    let server = Library::bind(&Config { socket: socket.clone(), ..Config::default() }).unwrap();
    let mut late = [(); 3].map(|()| TestClient::connect(&socket));
    serve_none(server);
    assert!(late.iter_mut().all(TestClient::is_refused));
}

#[test]
fn the_next_start_serves_pending_clients_of_an_inherited_socket() {
    let folder = tempfile::tempdir().unwrap();
    let [socket, status] = ["socket", "status"].map(|name| folder.path().join(name));
    let listener = UnixListener::bind(&socket).unwrap();
    let config = Config { status_socket: Some(status.clone()), ..Config::default() };
    let inherited = || InheritedSockets { clients: Some(listener.try_clone().unwrap()), status: None };
    let server = Library::bind_with(&config, inherited()).unwrap();
    let mut late = TestClient::connect(&socket);
    serve_none(server);
    assert!(!status.exists() && socket.exists());
    let (stop, thread) = serve(Library::bind_with(&config, inherited()).unwrap());
    late.join(1);
    stop.send(()).unwrap();
    thread.join().unwrap();
}

#[test]
fn a_client_that_does_not_read_does_not_block_the_stop() {
    let server = ServerProcess::start(&["-n", "256"]);
    let _stuck = server.client();
    let _other = server.member(256);
    let (status, folder) = server.stop(Signal::TERM);
    assert_eq!(status.code(), Some(0));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn the_socket_mode_is_0600_by_default() {
    for (flags, expected) in [(&[][..], 0o600), (&["--socket-mode", "0666"], 0o666)] {
        let server = ServerProcess::start(flags);
        let mode = fs::metadata(server.socket()).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, expected);
    }
}

#[test]
fn replaces_an_unused_socket() {
    let folder = tempfile::tempdir().unwrap();
    drop(UnixListener::bind(folder.path().join("socket")).unwrap());
    let server = ServerProcess::start_in(folder, command(), &[]);
    server.member(1);
}

#[test]
fn refuses_the_socket_of_a_running_server() {
    let server = ServerProcess::start(&[]);
    let mut member = server.member(1);
    let (code, log) = run(&["-S", server.socket().to_str().unwrap()]);
    assert_eq!(code, Some(1));
    assert!(log.contains("a server already answers at"), "{log}");
    // The running server continues. It may have accepted the probe as a client.
    let next = server.member(1);
    while !member.doorbells.iter().any(|(peer, ..)| *peer == next.id()) {
        if let Event::PeerVector { peer, vector, fd } = member.event() {
            member.doorbells.push((peer, vector, fd));
        }
    }
}

#[test]
fn one_of_several_simultaneous_starts_succeeds() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("socket");
    drop(UnixListener::bind(&socket).unwrap());
    let mut servers: Vec<_> =
        (0..8).map(|_| ChildGuard::spawn(command().arg("-S").arg(&socket).stderr(Stdio::null()))).collect();
    let started = Instant::now();
    while servers.len() > 1 && started.elapsed() < TIMEOUT {
        servers.retain_mut(|server| match server.try_wait() {
            Some(status) => {
                assert_eq!(status.code(), Some(1));
                false
            }
            None => true,
        });
        thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(servers.len(), 1);
    TestClient::connect(&socket).join(1);
    assert!(servers[0].try_wait().is_none());
}

#[test]
fn refuses_a_fifo_as_pid_file() {
    let folder = tempfile::tempdir().unwrap();
    let [socket, fifo] = ["socket", "fifo"].map(|name| folder.path().join(name));
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    // Opening a FIFO without a reader would block. With a reader it still is not a regular file.
    for reader in [false, true] {
        let _reader = reader.then(|| fs::File::options().read(true).write(true).open(&fifo).unwrap());
        let (code, log) = run(&["-S", socket.to_str().unwrap(), "-p", fifo.to_str().unwrap()]);
        assert_eq!(code, Some(1), "{log}");
        assert!(log.contains("cannot write the process id to"), "{log}");
        assert!(log.contains("it is not a regular file: remove it, or choose another --pid-file"), "{log}");
        assert!(fifo.exists() && !socket.exists());
    }
}

#[test]
fn refuses_and_keeps_a_path_that_is_not_a_socket() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("precious");
    fs::write(&path, "data").unwrap();
    let (code, log) = run(&["-S", path.to_str().unwrap()]);
    assert_eq!(code, Some(1));
    assert!(log.contains("is not a socket"), "{log}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "data");
}

#[test]
fn keeps_files_that_other_processes_put_in_place() {
    let folder = tempfile::tempdir().unwrap();
    let pid_file = folder.path().join("pid");
    let server = ServerProcess::start_in(folder, command(), &["-F", "-p", pid_file.to_str().unwrap()]);
    let socket = server.socket();
    fs::remove_file(&socket).unwrap();
    let _other = UnixListener::bind(&socket).unwrap();
    fs::write(&pid_file, "1\n").unwrap();
    let (status, _folder) = server.stop(Signal::TERM);
    assert!(status.success());
    assert!(socket.exists());
    assert!(pid_file.exists());
}

#[test]
fn wrong_usage_is_status_2() {
    for flags in [
        &["--vectors", "0"][..],
        &["--vectors", "257"],
        &["--shm-name", "../x"],
        &["--socket-mode", "9"],
        &["--no-such-flag"],
        &["--socket", &"x".repeat(200)],
        &["--socket", "@abstract"],
    ] {
        let (code, log) = run(flags);
        assert_eq!(code, Some(2), "{flags:?}: {log}");
    }
}

#[test]
fn refuses_one_path_for_two_purposes() {
    let folder = tempfile::tempdir().unwrap();
    let [socket, file, existing] = ["socket", "file", "existing"].map(|name| folder.path().join(name));
    let same = folder.path().join("./socket");
    fs::write(&existing, "log").unwrap();
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(&existing, &link).unwrap();
    let shm = format!("ivshmem-paths-{}", std::process::id());
    let object = Path::new("/dev/shm").join(&shm);
    for (one, path, other, same) in [
        ("--socket", &socket, "--status-socket", &same),
        ("--socket", &socket, "--pid-file", &same),
        ("--socket", &socket, "--log-file", &socket),
        ("--status-socket", &file, "--log-file", &file),
        ("--pid-file", &file, "--log-file", &file),
        ("--pid-file", &existing, "--log-file", &link),
        ("--shm-name", &PathBuf::from(&shm), "--log-file", &object),
    ] {
        let defaults = ["-F", "-S", socket.to_str().unwrap()];
        let flags = [one, path.to_str().unwrap(), other, same.to_str().unwrap()];
        let (code, log) = run(&[&defaults[..], &flags].concat());
        assert_eq!(code, Some(2), "{flags:?}: {log}");
        assert!(log.contains(&format!("cannot be both {one} and {other}: give two different paths")), "{log}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "{flags:?}: nothing is created");
        assert!(!object.exists());
    }
    assert_eq!(fs::read_to_string(&existing).unwrap(), "log");
}

#[test]
fn socket_paths_have_at_most_107_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("socket");
    let path_of = |bytes: usize| {
        let directory = format!("{}/", folder.path().display());
        directory.clone() + &"x".repeat(bytes - directory.len())
    };
    for bytes in [108, 109] {
        for flags in [
            &["-F", "-S", &path_of(bytes)][..],
            &["-d", "-S", &path_of(bytes)],
            &["-S", socket.to_str().unwrap(), "--status-socket", &path_of(bytes)],
        ] {
            let (code, log) = run(flags);
            assert_eq!(code, Some(2), "{flags:?}: {log}");
            assert!(log.contains("is longer than 107 bytes"), "{flags:?}: {log}");
        }
        let (code, log) = run(&["status", "--status-socket", &path_of(bytes)]);
        assert_eq!(code, Some(2), "{log}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    let config = Config { socket: path_of(107).into(), ..Config::default() };
    serve_none(Library::bind(&config).unwrap());
}

#[test]
fn pid_file_errors_name_cause_and_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let [socket, link, target] = ["socket", "link", "target"].map(|name| folder.path().join(name));
    std::os::unix::fs::symlink(&target, &link).unwrap();
    let missing = folder.path().join("missing/pid");
    for (path, reason) in [
        (&link, "it is a symbolic link, and links are not followed: remove it, or choose another --pid-file"),
        (&missing, "its directory must exist, and this user must be able to write the file there: No such file"),
    ] {
        let (code, log) = run(&["-F", "-S", socket.to_str().unwrap(), "-p", path.to_str().unwrap()]);
        assert_eq!(code, Some(1), "{log}");
        assert!(log.contains("cannot write the process id to") && log.contains(reason), "{log}");
        assert!(!target.exists() && !socket.exists());
    }
}

#[test]
fn root_may_overwrite_a_pid_file_of_another_user_with_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let [pid_file, log_file] = ["pid", "log"].map(|name| folder.path().join(name));
    // With fs.protected_regular, O_CREAT would fail in such a directory.
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o1777)).unwrap();
    for path in [&pid_file, &log_file] {
        fs::write(path, "1\n").unwrap();
        if std::os::unix::fs::chown(path, Some(65_534), Some(65_534)).is_err() {
            return;
        }
    }
    let flags = ["-F", "-p", pid_file.to_str().unwrap(), "--log-file", log_file.to_str().unwrap()];
    let server = ServerProcess::start_in(folder, command(), &flags);
    let warned = |line: &String| line.contains("WARN") && line.contains("belongs to user 65534");
    assert!(server.first_lines.iter().any(warned), "{:?}", server.first_lines);
    assert_eq!(fs::read_to_string(&pid_file).unwrap().trim(), server.pid().as_raw_nonzero().to_string());
}

#[test]
fn a_missing_proc_is_status_3_with_a_hint() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("socket");
    let without_proc = |args: &[&str]| {
        let script = "mount -t tmpfs none /proc && exec \"$0\" \"$@\"";
        Command::new("unshare").args(["-rm", "sh", "-c", script]).args(args).output()
    };
    // Needs permission for namespaces.
    if !without_proc(&["true"]).is_ok_and(|output| output.status.success()) {
        return;
    }
    let program = command().get_program().to_str().unwrap().to_owned();
    let output = without_proc(&[&program, "-S", socket.to_str().unwrap()]).unwrap();
    let log = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{log}");
    assert!(log.contains("the server needs /proc"), "{log}");
    assert!(!socket.exists());
}

#[test]
fn a_lack_of_descriptors_is_status_3_with_a_hint() {
    let folder = tempfile::tempdir().unwrap();
    let [socket, pid_file] = ["socket", "pid"].map(|name| folder.path().join(name));
    for limit in 4..8 {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("ulimit -n {limit}; exec \"$0\" \"$@\"")]).arg(command().get_program());
        let output = shell.arg("-S").arg(&socket).arg("-p").arg(&pid_file).output().unwrap();
        let log = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(3), "{limit}: {log}");
        assert!(log.contains("raise the limit of open files (ulimit -n)"), "{limit}: {log}");
        assert!(!socket.exists() && !pid_file.exists());
    }
}

#[test]
fn help_has_examples_and_exit_statuses() {
    let output = command().arg("--help").output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success());
    assert!(help.contains("Examples:") && help.contains("Exit status:"), "{help}");
}

#[test]
fn help_wraps_without_lines_of_one_or_two_words() {
    for columns in ["60", "80", "100", "120"] {
        let output = command().arg("--help").env("COLUMNS", columns).output().unwrap();
        let help = String::from_utf8(output.stdout).unwrap();
        let systemd = help.split("systemd:\n").nth(1).unwrap().split("\n\n").next().unwrap();
        let wrapped: Vec<_> = systemd.lines().map(|line| line.split_whitespace().count()).collect();
        // Only the last line may be short. A short line before it shows a line break of the source.
        assert!(wrapped.iter().rev().skip(1).all(|&words| words > 3), "{columns}:\n{systemd}");
    }
}

#[test]
fn a_line_break_in_a_path_does_not_split_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("two\nlines/socket");
    let (code, log) = run(&["-S", path.to_str().unwrap()]);
    assert_eq!(code, Some(1));
    assert!(log.lines().any(|line| line.contains("cannot listen at") && line.contains("two\\nlines/socket")), "{log}");
}

#[test]
fn the_log_can_be_json() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("missing/socket");
    let (code, log) = run(&["--log-format", "json", "-S", path.to_str().unwrap()]);
    assert_eq!(code, Some(1));
    assert!(log.starts_with('{') && log.contains("\"level\":\"ERROR\""), "{log}");
}

#[test]
fn the_library_serves_within_another_program() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("socket");
    let config = Config { socket: socket.clone(), vectors: 2, ..Config::default() };
    let server = Library::bind(&config).unwrap();
    let (stop, thread) = serve(server);
    let mut client = TestClient::connect(&socket);
    client.join(2);
    stop.send(()).unwrap();
    client.read_to_end();
    thread.join().unwrap();
    assert!(!socket.exists());
}
