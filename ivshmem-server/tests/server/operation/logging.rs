//! A stderr that takes nothing: it costs the log, and neither a client nor the end.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, PipeReader, pipe};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use rustix::pipe::fcntl_setpipe_size;
use rustix::process::{Signal, kill_process};
use tempfile::TempDir;

use crate::support::harness::{Client, Process, command};

/// More than the log keeps waiting, and than a pipe holds.
const CLIENTS: usize = 2_000;

fn served(stderr: impl Into<Stdio>) -> (Process, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let mut command = command();
    command.arg("-v").arg("-S").arg(folder.path().join("socket")).stderr(stderr);
    (Process::spawn(&mut command), folder)
}

/// A member, as soon as the server listens.
fn member(folder: &Path) -> Client {
    let socket = folder.join("socket");
    while UnixStream::connect(&socket).is_err() {
        thread::sleep(Duration::from_millis(5));
    }
    let mut client = Client::connect(&socket);
    client.join(1);
    client
}

fn ends_well(mut process: Process, folder: &Path) {
    kill_process(process.pid(), Signal::TERM).unwrap();
    assert_eq!(process.wait().code(), Some(0));
    assert!(!folder.join("socket").exists(), "it cleaned up");
}

/// A server whose stderr is a pipe of a page, full, while there is far more to say.
fn clogged() -> (Process, TempDir, PipeReader) {
    let (reader, writer) = pipe().unwrap();
    fcntl_setpipe_size(&writer, 4096).unwrap();
    let (process, folder) = served(writer);
    drop(member(folder.path()));
    for _ in 0..CLIENTS {
        drop(UnixStream::connect(folder.path().join("socket")).unwrap());
    }
    // Those who came before were seen to.
    drop(member(folder.path()));
    (process, folder, reader)
}

#[test]
fn a_full_disk_under_the_log_ends_no_server() {
    let full = || OpenOptions::new().write(true).open("/dev/full").unwrap();
    let (process, folder) = served(full());
    drop(member(folder.path()));
    drop(member(folder.path()));
    ends_well(process, folder.path());
    // And why it does not start is its status, also where it cannot say it.
    let status = command().args(["-S", "/nowhere/socket"]).stderr(full()).status().unwrap();
    assert_eq!(status.code(), Some(1));
}

#[test]
fn a_log_pipe_whose_reader_is_gone_ends_no_server() {
    let (reader, writer) = pipe().unwrap();
    drop(reader);
    let (process, folder) = served(writer);
    drop(member(folder.path()));
    ends_well(process, folder.path());
}

#[test]
fn a_log_that_nobody_reads_keeps_neither_clients_nor_the_end_waiting() {
    let (process, folder, _unread) = clogged();
    ends_well(process, folder.path());
}

#[test]
fn who_reads_the_log_again_is_told_how_many_lines_were_lost() {
    let (process, folder, reader) = clogged();
    let mut lines = BufReader::new(reader).lines().map(Result::unwrap);
    let notice = lines.find(|line| line.contains("lines of this log were lost")).expect("it never said so");
    let lost = notice.rsplit_once("lost=").and_then(|(_, count)| count.parse::<usize>().ok());
    assert!(lost.is_some_and(|lost| lost > 0), "{notice}");
    let rest = thread::spawn(move || lines.last());
    ends_well(process, folder.path());
    let end = rest.join().unwrap().unwrap();
    assert!(end.contains("stopped"), "{end}");
}
