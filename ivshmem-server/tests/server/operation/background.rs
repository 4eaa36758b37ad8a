//! Running in the background, with command lines of scripts and units for QEMU's example server.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use tempfile::TempDir;

use crate::support::harness::{ChildGuard, TestClient, command};
use crate::support::leak_check::eventually;

/// A directory for one server. The server is killed at the end of the test, by its pid file.
struct ServerDir(TempDir);

impl ServerDir {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn pid(&self) -> Option<Pid> {
        let text = fs::read_to_string(self.path().join("pid")).ok()?;
        Pid::from_raw(text.trim().parse().ok()?)
    }

    /// Runs a shell script in the directory, with this server in PATH.
    fn run(&self, script: &str) -> Output {
        let program = Path::new(command().get_program()).to_owned();
        let mut path = program.parent().unwrap().as_os_str().to_owned();
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap());
        Command::new("sh").args(["-c", script]).current_dir(self.path()).env("PATH", path).output().unwrap()
    }

    fn stop(&self) {
        let pid = self.pid().expect("the server has a pid file");
        kill_process(pid, Signal::TERM).unwrap();
        eventually("the server ends", || test_kill_process(pid).is_err());
    }
}

impl Drop for ServerDir {
    fn drop(&mut self) {
        if let Some(pid) = self.pid() {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn the_command_returns_once_the_server_listens() {
    let folder = ServerDir::new();
    // $(…) ends only when the server has closed its output.
    let script = "out=$(ivshmem-server -p pid -S socket -n 2 -l 16M 2>&1) && echo went on";
    let output = folder.run(script);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(0), "went on\n"), "{}", text(&output.stderr));
    TestClient::connect(&folder.path().join("socket")).join(2);
    let pid = folder.pid().unwrap().as_raw_nonzero();
    let program = fs::read_link(format!("/proc/{pid}/exe")).unwrap();
    assert_eq!(program, Path::new(command().get_program()).canonicalize().unwrap());
    for fd in 0..3 {
        assert_eq!(fs::read_link(format!("/proc/{pid}/fd/{fd}")).unwrap(), Path::new("/dev/null"));
    }
    assert_eq!(fs::read_link(format!("/proc/{pid}/cwd")).unwrap(), Path::new("/"));
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let session = stat.rsplit_once(')').unwrap().1.split_whitespace().nth(3).unwrap();
    assert_eq!(session, pid.to_string(), "it has its own session");
    folder.stop();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "relative paths are removed as well");
}

#[test]
fn the_log_continues_in_the_log_file() {
    let folder = ServerDir::new();
    let output = folder.run("ivshmem-server -d -v -p pid -S socket --log-file log");
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stderr).contains("listening on socket"), "{}", text(&output.stderr));
    TestClient::connect(&folder.path().join("socket")).join(1);
    folder.stop();
    let log = fs::read_to_string(folder.path().join("log")).unwrap();
    for line in ["listening on socket", "going to the background", "peer 0 joined", "stopped"] {
        assert_eq!(log.matches(line).count(), 1, "{line:?} in {log}");
    }
    assert!(!text(&output.stderr).contains("peer 0"), "{}", text(&output.stderr));
}

#[test]
fn a_failed_start_is_printed_with_its_status() {
    let folder = ServerDir::new();
    fs::write(folder.path().join("file"), "").unwrap();
    for (flags, status, reason) in [
        ("-p pid -S file", 1, "is not a socket"),
        ("-p missing/pid -S socket", 1, "cannot write the process id to missing/pid"),
        ("-d -S socket --log-file missing/log", 1, "cannot open the log file missing/log: its directory must exist"),
        ("-p pid -S socket --log-file pid", 2, "cannot be both --pid-file and --log-file"),
        ("-p pid -S socket -l 1", 2, "below the page size"),
        ("-p pid -S socket -l 4000000T", 3, "of shared memory requested"),
        ("-d -p pid --vectors 0", 2, "expected a number from 1 to 256"),
    ] {
        let output = folder.run(&format!("ivshmem-server {flags}"));
        let log = text(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{flags}: {log}");
        assert!(log.contains(reason), "{flags}: {log}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "{flags}: only the file is left");
    }
}

#[test]
fn the_last_of_foreground_and_daemonize_counts() {
    let folder = ServerDir::new();
    assert_eq!(folder.run("ivshmem-server -F -p pid -S socket -d").status.code(), Some(0));
    folder.stop();
    // In the foreground the command does not return, so the script needs the `&`.
    let script = "ivshmem-server -d -p pid -S socket -F 2>log & until [ -s pid ]; do sleep 0.01; done; \
                  echo $! >shell; kill $!; wait $!";
    let output = folder.run(script);
    assert_eq!(output.status.code(), Some(0));
    let log = fs::read_to_string(folder.path().join("log")).unwrap();
    assert!(log.contains("stopped") && !log.contains("background"), "{log}");
}

#[test]
fn an_interrupted_start_leaves_no_server() {
    // Repeated if the start was too fast for the test.
    while !interrupt_start(&ServerDir::new()) {}
}

/// Kills the calling process before the server listens. Returns false if the server listened already.
fn interrupt_start(folder: &ServerDir) -> bool {
    let socket = folder.path().join("socket");
    // The start waits some time for this lock.
    let directory = File::open(folder.path()).unwrap();
    flock(&directory, FlockOperation::LockExclusive).unwrap();
    let mut start = command();
    start.args(["-d", "-p", "pid", "-S", "socket"]).current_dir(folder.path()).stderr(Stdio::null());
    let caller = ChildGuard::spawn(&mut start);
    let id = caller.pid().as_raw_nonzero();
    let children = || fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
    let child = || children().split_whitespace().next().and_then(|child| Pid::from_raw(child.parse().ok()?));
    eventually("the start has a child, or has returned", || child().is_some() || socket.exists());
    let Some(server) = child() else { return false };
    kill_process(server, Signal::STOP).unwrap();
    let state = || fs::read_to_string(format!("/proc/{}/stat", server.as_raw_nonzero())).unwrap_or_default();
    eventually("the server is stopped", || state().contains(") T "));
    if socket.exists() {
        kill_process(server, Signal::KILL).unwrap();
        return false;
    }
    drop(caller);
    kill_process(server, Signal::CONT).unwrap();
    eventually("the server ends", || test_kill_process(server).is_err());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    true
}

#[test]
fn serves_a_socket_of_systemd_in_the_background() {
    let folder = ServerDir::new();
    let socket = folder.path().join("socket");
    let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let mut shell = Command::new("sh");
    let script = "exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" \"$@\"";
    shell.args(["-c", script]).arg(command().get_program()).arg("-p").arg(folder.path().join("pid"));
    shell.stdin(Stdio::from(std::os::fd::OwnedFd::from(listener)));
    assert!(shell.stderr(Stdio::null()).status().unwrap().success());
    TestClient::connect(&socket).join(1);
    folder.stop();
    assert!(socket.exists());
}

/// `systemd-analyze verify` checks the units, and the test runs their `ExecStart` line.
#[test]
fn units_of_type_forking_and_oneshot_can_start_it() {
    let folder = ServerDir::new();
    let program = command().get_program().to_str().unwrap().to_owned();
    let place = folder.path().to_str().unwrap();
    for (name, kind) in [
        ("forking", format!("Type=forking\nPIDFile={place}/pid")),
        ("oneshot", "Type=oneshot\nRemainAfterExit=yes".to_owned()),
    ] {
        let start = format!("{program} -p {place}/pid -S {place}/socket -n 2 -l 16M");
        let unit = folder.path().join(format!("ivshmem-{name}.service"));
        fs::write(&unit, format!("[Unit]\nDescription=ivshmem\n\n[Service]\n{kind}\nExecStart={start}\n")).unwrap();
        if let Ok(verified) = Command::new("systemd-analyze").arg("verify").arg(&unit).output() {
            assert!(verified.status.success(), "{name}: {}", text(&verified.stderr));
        }
        let mut words = start.split(' ');
        let mut started = Command::new(words.next().unwrap());
        assert!(started.args(words).stderr(Stdio::null()).status().unwrap().success(), "{name}");
        assert!(folder.pid().is_some(), "{name}: the pid file is there when the start ends");
        TestClient::connect(&folder.path().join("socket")).join(2);
        folder.stop();
    }
}

#[test]
fn closes_stderr_in_the_background() {
    let folder = ServerDir::new();
    let mut started = command();
    started.args(["-d", "-v", "-S"]).arg(folder.path().join("socket")).arg("-p").arg(folder.path().join("pid"));
    let mut child = started.stderr(Stdio::piped()).spawn().unwrap();
    let mut log = String::new();
    child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
    assert!(child.wait().unwrap().success());
    assert!(log.contains("the log continues in syslog"), "{log}");
    folder.stop();
}

#[test]
fn starts_where_sigchld_is_ignored() {
    let folder = ServerDir::new();
    let ignoring = "env --ignore-signal=CHLD ivshmem-server";
    let output = folder.run(&format!("{ignoring} -p pid -S socket"));
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    folder.stop();
    let output = folder.run(&format!("{ignoring} -p pid -S socket -l 1"));
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
}
