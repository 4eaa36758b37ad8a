//! The program under the name of QEMU's client: scripts through pipes, with a real server.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use ivshmem_server::Config;
use proto::wire::{PeerId, Vector};
use tempfile::TempDir;

use test_support::LONG;
use test_support::real_server::RealServer;
use test_support::run_to_end;

const HELP: &str = "dump: dump peers (including us)
int <peer> <vector>: notify one vector on a peer
int <peer> all: notify all vectors of a peer
int all: notify all vectors of all peers (excepting us)
";

/// The symbolic link `ivshmem-client` in a temporary directory.
struct Client {
    folder: TempDir,
}

impl Client {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        symlink(env!("CARGO_BIN_EXE_host-peer"), folder.path().join("ivshmem-client")).unwrap();
        Self { folder }
    }

    fn command(&self, socket: &Path) -> Command {
        let mut command = Command::new(self.folder.path().join("ivshmem-client"));
        command.arg("-S").arg(socket).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs a script.
    fn run(&self, socket: &Path, flags: &[&str], script: &str) -> (Option<i32>, String, String) {
        let mut child = self.command(socket).args(flags).spawn().unwrap();
        // With invalid flags the client does not read.
        let _ = child.stdin.take().unwrap().write_all(script.as_bytes());
        let output = child.wait_with_output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    }
}

/// Replaces descriptor numbers with `N`: `listen on server socket N`, `(fd=N)`, `shm_fd=N`, `fd N`.
fn without_descriptors(text: &str) -> String {
    ["server socket ", "fd=", "fd "].iter().fold(text.to_owned(), |text, before| {
        let mut parts = text.split(before);
        let first = parts.next().unwrap_or_default().to_owned();
        let rest = parts.map(|part| format!("{before}N{}", part.trim_start_matches(|c: char| c.is_ascii_digit())));
        first + &rest.collect::<String>()
    })
}

fn lines_of(reader: &mut BufReader<ChildStdout>, until: &str) -> Vec<String> {
    let mut lines = Vec::new();
    while lines.last().is_none_or(|line| line != until) {
        let mut line = String::new();
        assert_ne!(reader.read_line(&mut line).unwrap(), 0, "no {until:?} in {lines:?}");
        lines.push(line.trim_end().to_owned());
    }
    lines
}

fn end(mut child: Child, mut stdout: BufReader<ChildStdout>) -> (Option<i32>, String, String) {
    drop(child.stdin.take());
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    let output = child.wait_with_output().unwrap();
    (output.status.code(), rest, String::from_utf8(output.stderr).unwrap())
}

#[test]
fn executes_a_piped_script_with_status_0() {
    let server = RealServer::start(2);
    let present = server.client();
    let script = "dump\nint 0 1;int 0 all\nint all\n\nint 9 0\nint -1 all\nnonsense\nint 0 2\n?\n";
    let (status, out, error) = Client::new().run(&server.socket(), &[], script);
    assert_eq!(status, Some(0), "{error}");
    let vectors = "  vector 0 is enabled (fd=N)\n  vector 1 is enabled (fd=N)\n";
    let expected = format!(
        "{HELP}cmd> listen on server socket N\n\
         our_id = 1\n{vectors}peer_id = 0\n{vectors}\
         cannot find peer_id = 9\ncannot find peer_id = -1\ninvalid command, type help\n{HELP}cmd> "
    );
    assert_eq!(without_descriptors(&out), expected);
    assert_eq!(error, "ivshmem-client: peer 0 does not have vector 2; it has 2\n");
    assert_eq!(present.wait(Vector(0), Some(LONG)).unwrap(), Some(2));
    assert_eq!(present.wait(Vector(1), Some(LONG)).unwrap(), Some(3));
}

#[test]
fn executes_a_last_line_without_newline() {
    let server = RealServer::start(1);
    let (status, out, _) = Client::new().run(&server.socket(), &[], "dump");
    assert_eq!(status, Some(0));
    let out = without_descriptors(&out);
    assert!(out.ends_with("our_id = 0\n  vector 0 is enabled (fd=N)\ncmd> "), "{out}");
}

#[test]
fn notifications_are_flushed_while_stdin_stays_open() {
    let server = RealServer::start(2);
    let mut child = Client::new().command(&server.socket()).spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let start = lines_of(&mut stdout, "int all: notify all vectors of all peers (excepting us)");
    assert_eq!(start.len(), 4);
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    assert!(line.starts_with("cmd> listen on server socket "), "{line}");
    let other = server.client();
    for _ in 0..2 {
        other.ring(PeerId(0), Vector(1)).unwrap();
        let verbose_lines = lines_of(&mut stdout, "receive notification from peer_id=0 vector=1");
        assert_eq!(verbose_lines.len(), 1, "{verbose_lines:?}");
    }
    // Rings itself before the end of stdin.
    writeln!(child.stdin.as_mut().unwrap(), "int 0 0").unwrap();
    let (status, rest, error) = end(child, stdout);
    assert_eq!((status, error.as_str()), (Some(0), ""));
    assert_eq!(rest, "cmd> receive notification from peer_id=0 vector=0\n");
}

#[test]
fn ends_despite_busy_doorbells() {
    let server = RealServer::start(1);
    let mut child = Client::new().command(&server.socket()).spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    // It is peer 0 once it replies.
    writeln!(child.stdin.as_mut().unwrap(), "dump").unwrap();
    lines_of(&mut stdout, "our_id = 0");
    let other = server.client();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                other.ring(PeerId(0), Vector(0)).unwrap();
            }
        });
        lines_of(&mut stdout, "receive notification from peer_id=0 vector=0");
        let (status, ..) = end(child, stdout);
        is_over.store(true, Ordering::Relaxed);
        assert_eq!(status, Some(0));
    });
}

#[test]
fn verbose_prints_the_messages_of_the_server() {
    let server = RealServer::start(1);
    let client = Client::new();
    let mut child = client.command(&server.socket()).arg("-v").spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    lines_of(&mut stdout, "our_id=0");
    let other = server.client();
    lines_of(&mut stdout, "new peer id = 1");
    other.ring(PeerId(0), Vector(0)).unwrap();
    let verbose_lines = lines_of(&mut stdout, "receive notification from peer_id=0 vector=0").join("\n");
    let verbose_lines = without_descriptors(&verbose_lines);
    assert!(
        verbose_lines.starts_with("  new vector 0 (fd=N) for peer id 1\nreceived event on fd N vector 0: 1\n"),
        "{verbose_lines}"
    );
    drop(other);
    lines_of(&mut stdout, "delete peer id = 1");
    let (status, _, error) = end(child, stdout);
    assert_eq!((status, error.as_str()), (Some(0), ""));

    let server = RealServer::start(1);
    let (_, out, _) = client.run(&server.socket(), &["-v"], "int 0 0\nint 0 5\n");
    let expected = format!(
        "{HELP}cmd> connect to client {}\nour_id=0\nshm_fd=N\nlisten on server socket N\n\
         \x20 new vector 0 (fd=N) for peer id 0\nnotify peer 0 on vector 0, fd N\ninvalid vector 5 on peer 0\ncmd> \
         received event on fd N vector 0: 1\nreceive notification from peer_id=0 vector=0\n",
        server.socket().display()
    );
    assert_eq!(without_descriptors(&out), expected);
}

#[test]
fn waits_for_a_server_that_starts_later() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("socket");
    let mut child = Client::new().command(&socket).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"dump\n").unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    stderr.read_line(&mut line).unwrap();
    assert_eq!(line, "cannot connect to server, retry in 1 second\n");
    stderr.read_line(&mut line).unwrap();
    assert!(line.contains("no socket at"), "{line}");
    let _server = RealServer::at(folder, &Config { size: 1 << 20, ..Config::default() });
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    lines_of(&mut stdout, "our_id = 0");
    drop(stdin);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn input_that_ends_without_a_server_is_status_3() {
    let long = "dump\n".repeat(100_000);
    for script in ["\n", "dump\nint 0 0\n", &long] {
        let (status, out, error) = Client::new().run("/nowhere/socket".as_ref(), &[], script);
        assert_eq!((status, out), (Some(3), format!("{HELP}cmd> ")));
        assert!(error.contains("no socket at /nowhere/socket. Hint: start a server"), "{error}");
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    let (status, _, error) = Client::new().run(file.path(), &[], "dump\n");
    assert_eq!(status, Some(3), "{error}");
}

#[test]
fn input_that_ends_at_a_refusing_server_is_status_1() {
    let server = RealServer::with(&Config { max_peers: Some(1), size: 1 << 20, ..Config::default() });
    let _present = server.client();
    let (status, _, error) = Client::new().run(&server.socket(), &[], "dump\n");
    assert_eq!(status, Some(1), "{error}");
    assert!(error.contains("refused this client"), "{error}");
}

#[test]
fn reports_server_end_and_waits_for_restart() {
    let mut server = RealServer::start(1);
    let mut child = Client::new().command(&server.socket()).spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    writeln!(child.stdin.as_mut().unwrap(), "dump").unwrap();
    lines_of(&mut stdout, "our_id = 0");
    server.stop();
    lines_of(&mut stdout, "cmd> disconnected from server");
    let mut reasons = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(reasons.next().unwrap().contains("closed the connection"));
    assert_eq!(reasons.next().unwrap(), "cannot connect to server, retry in 1 second");
    // At the end of stdin no command is left.
    assert_eq!(end(child, stdout).0, Some(3));
    assert!(reasons.last().unwrap().contains("no socket at"));
}

#[test]
fn accepts_flags_of_qemus_client_only() {
    let client = Client::new();
    let server = RealServer::start(1);
    let (status, out, _) = client.run(&server.socket(), &["-h"], "");
    assert_eq!(status, Some(0));
    assert!(out.contains("-S") && out.contains("Differences from QEMU's client"), "{out}");
    assert_eq!(client.run(&server.socket(), &["-x"], "").0, Some(2));
    assert_eq!(client.run(&server.socket(), &["stray", "-vv"], "").0, Some(0));
    let long: PathBuf = "x".repeat(200).into();
    let (status, _, error) = client.run(&long, &[], "dump\n");
    assert_eq!(status, Some(2), "{error}");
    assert!(error.starts_with("cannot init client\n") && error.contains("at most 107"), "{error}");
}

#[test]
fn unwritable_output_fails_but_closed_pipe_does_not() {
    let (client, server) = (Client::new(), RealServer::start(1));
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = client.command(&server.socket());
    let (status, _, error) = ended_with_stdout(command.stdin(Stdio::null()), full.into());
    assert_eq!(status, Some(1));
    assert!(error.contains("ivshmem-client: cannot write to stdout: No space left"), "{error}");
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = client.command(&server.socket());
    assert_eq!(ended_with_stdout(command.stdin(Stdio::null()), writer.into()), (Some(0), String::new(), String::new()));
}

fn ended_with_stdout(command: &mut Command, stdout: Stdio) -> (Option<i32>, String, String) {
    let output = command.stdout(stdout).stderr(Stdio::piped()).spawn().unwrap().wait_with_output().unwrap();
    (output.status.code(), String::new(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn other_names_run_host_peer() {
    let folder = tempfile::tempdir().unwrap();
    let other = folder.path().join("my-ivshmem-client");
    symlink(env!("CARGO_BIN_EXE_host-peer"), &other).unwrap();
    let (_, out, _) = run_to_end(Command::new(&other).arg("--help"));
    assert!(out.contains("host-peer check"), "{out}");
}
