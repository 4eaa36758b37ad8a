//! A blocked or failing stderr loses log lines, but does not block clients or the shutdown.

use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, PipeReader, pipe};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::pipe::fcntl_setpipe_size;
use rustix::process::{Signal, kill_process};
use tempfile::TempDir;

use crate::support::harness::{ChildGuard, ServerProcess, TestClient, command, run};

/// More log lines than the queue and a pipe hold.
const CLIENTS: usize = 2_000;

fn start(stderr: impl Into<Stdio>) -> (ChildGuard, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let mut command = command();
    command.arg("-v").arg("-S").arg(folder.path().join("socket")).stderr(stderr);
    (ChildGuard::spawn(&mut command), folder)
}

/// A peer that joined as soon as the server listens.
fn member(folder: &Path) -> TestClient {
    let socket = folder.join("socket");
    while UnixStream::connect(&socket).is_err() {
        thread::sleep(Duration::from_millis(5));
    }
    let mut client = TestClient::connect(&socket);
    client.join(1);
    client
}

fn stop(mut process: ChildGuard, folder: &Path) {
    kill_process(process.pid(), Signal::TERM).unwrap();
    assert_eq!(process.wait().code(), Some(0));
    assert!(!folder.join("socket").exists(), "the socket is removed");
}

/// A server whose stderr is a full pipe of one page.
fn start_blocked() -> (ChildGuard, TempDir, PipeReader) {
    let (reader, writer) = pipe().unwrap();
    fcntl_setpipe_size(&writer, 4096).unwrap();
    let (process, folder) = start(writer);
    drop(member(folder.path()));
    for _ in 0..CLIENTS {
        drop(UnixStream::connect(folder.path().join("socket")).unwrap());
    }
    // After this join, the clients before it were processed.
    drop(member(folder.path()));
    (process, folder, reader)
}

#[test]
fn a_full_disk_does_not_end_the_server() {
    let full = || OpenOptions::new().write(true).open("/dev/full").unwrap();
    let (process, folder) = start(full());
    drop(member(folder.path()));
    drop(member(folder.path()));
    stop(process, folder.path());
    // A failed start has its exit status even if the reason cannot be printed.
    let status = command().args(["-S", "/nowhere/socket"]).stderr(full()).status().unwrap();
    assert_eq!(status.code(), Some(1));
}

#[test]
fn a_closed_log_pipe_does_not_end_the_server() {
    let (reader, writer) = pipe().unwrap();
    drop(reader);
    let (process, folder) = start(writer);
    drop(member(folder.path()));
    stop(process, folder.path());
}

#[test]
fn an_unread_log_blocks_neither_clients_nor_the_stop() {
    let (process, folder, _unread) = start_blocked();
    stop(process, folder.path());
}

#[test]
fn the_log_reports_the_number_of_lost_lines() {
    let (process, folder, reader) = start_blocked();
    let mut lines = BufReader::new(reader).lines().map(Result::unwrap);
    let line = lines.find(|line| line.contains("lines of this log were lost")).expect("the loss is logged");
    let lost = line.rsplit_once("lost=").and_then(|(_, count)| count.parse::<usize>().ok());
    // At least one line for each client; the queue has 1,024, and the pipe less than 100.
    assert!(lost.is_some_and(|lost| lost > CLIENTS - 1_024 - 100), "{line}");
    let rest = thread::spawn(move || lines.last());
    stop(process, folder.path());
    let end = rest.join().unwrap().unwrap();
    assert!(end.contains("stopped"), "{end}");
}

#[test]
fn a_log_file_at_its_size_limit_does_not_end_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let log_file = folder.path().join("log");
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -f 8; exec \"$0\" \"$@\""]).arg(command().get_program());
    let flags = ["-l", "4K", "--log-file", log_file.to_str().unwrap()];
    let server = ServerProcess::start_in(folder, shell, &flags);
    let limit = fs::read_to_string(format!("/proc/{}/limits", server.pid().as_raw_nonzero())).unwrap();
    let limit =
        limit.lines().find(|line| line.starts_with("Max file size")).unwrap().split_whitespace().nth(3).unwrap();
    let limit: u64 = limit.parse().unwrap();
    while fs::metadata(&log_file).unwrap().len() < limit {
        server.member(1);
    }
    server.member(1);
    assert_eq!(server.stop(Signal::TERM).0.code(), Some(0));
}

#[test]
fn a_fifo_as_log_file_needs_a_reader() {
    let folder = tempfile::tempdir().unwrap();
    let [socket, fifo] = ["socket", "fifo"].map(|name| folder.path().join(name));
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let flags = ["-S", socket.to_str().unwrap(), "--log-file", fifo.to_str().unwrap()];
    let (code, log) = run(&flags);
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("cannot open the log file") && log.contains("a FIFO without a reader"), "{log}");
    let reader = OpenOptions::new().read(true).write(true).open(&fifo).unwrap();
    let process = ChildGuard::spawn(command().args(flags).stderr(Stdio::null()));
    let mut lines = BufReader::new(reader).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.contains("listening on")));
    stop(process, folder.path());
}
