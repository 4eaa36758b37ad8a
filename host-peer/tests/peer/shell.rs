//! The shell with piped input.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use proto::wire::{PeerId, Vector};

use crate::host_peer;
use test_support::LONG;
use test_support::real_server::RealServer;

/// A shell with piped stdin and stdout.
struct Shell {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

impl Shell {
    fn start(socket: &Path) -> Self {
        let mut command = host_peer(socket);
        command.arg("shell").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (stdin, stdout) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, stdin, stdout }
    }

    fn type_line(&mut self, line: &str) {
        writeln!(self.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        assert_ne!(self.stdout.read_line(&mut line).unwrap(), 0, "the shell has ended");
        line.trim_end().to_owned()
    }

    /// Closes stdin; returns status, the rest of stdout, and stderr.
    fn end(mut self) -> (Option<i32>, String, String) {
        drop(self.stdin.take());
        let mut rest = String::new();
        std::io::Read::read_to_string(&mut self.stdout, &mut rest).unwrap();
        let output = self.child.wait_with_output().unwrap();
        (output.status.code(), rest, String::from_utf8(output.stderr).unwrap())
    }
}

/// Runs a script.
fn run(server: &RealServer, script: &str) -> (Option<i32>, String, String) {
    let mut shell = Shell::start(&server.socket());
    shell.stdin.as_mut().unwrap().write_all(script.as_bytes()).unwrap();
    shell.end()
}

#[test]
fn runs_scripts_of_the_example_client() {
    let server = RealServer::start(2);
    let present = server.client();
    let (status, out, error) = run(&server, "dump\nint 0 1\nint 0 all\nint all\n");
    assert_eq!(status, Some(0), "{error}");
    let dump: Vec<&str> = out.lines().map(|line| line.split("(fd=").next().unwrap()).collect();
    let vectors = ["  vector 0 is enabled ", "  vector 1 is enabled "];
    assert_eq!(dump, [&["our_id = 1"][..], &vectors, &["peer_id = 0"], &vectors].concat());
    assert_eq!(present.wait(Vector(0), Some(LONG)).unwrap(), Some(2));
    assert_eq!(present.wait(Vector(1), Some(LONG)).unwrap(), Some(3));
}

#[test]
fn prints_events_without_input() {
    let server = RealServer::start(2);
    let mut shell = Shell::start(&server.socket());
    shell.type_line("peers");
    assert_eq!(shell.line(), "peer 0  2 vectors (this one)");
    let other = server.client();
    assert_eq!(shell.line(), "peer 1 joined");
    other.ring(PeerId(0), Vector(1)).unwrap();
    assert_eq!(shell.line(), "receive notification from peer_id=0 vector=1");
    drop(other);
    assert_eq!(shell.line(), "peer 1 left");
    assert_eq!(shell.end(), (Some(0), String::new(), String::new()));
}

#[test]
fn accepts_comments() {
    let server = RealServer::start(2);
    let script = "# who is there; nonsense\npeers; # this one; nonsense\n";
    assert_eq!(run(&server, script), (Some(0), "peer 0  2 vectors (this one)\n".into(), String::new()));
}

#[test]
fn coalesced_rings_are_one_line_with_count() {
    let server = RealServer::start(1);
    let (status, out, _) = run(&server, "ring 0 0 3; read 0 1");
    assert_eq!(status, Some(0));
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines.len(), 2, "{out}");
    assert!(lines.contains(&"receive notification from peer_id=0 vector=0 (3 rings)"), "{out}");
}

#[test]
fn writes_and_reads_memory() {
    let server = RealServer::start(1);
    let (status, out, error) = run(&server, "write 4K 68 65 6c6c 6f\nread 0x1000 5\n");
    assert_eq!((status, error.as_str()), (Some(0), ""));
    assert!(out.starts_with("00001000  68 65 6c 6c 6f  "), "{out}");
    assert!(out.ends_with("  hello\n"), "{out}");
}

#[test]
fn wait_ends_with_doorbell_or_timeout() {
    let server = RealServer::start(2);
    let (status, out, error) = run(&server, "int 0 0; int 0 1; wait 1 60s; peers\n");
    assert_eq!(status, Some(0), "{error}");
    let lines: Vec<&str> = out.lines().collect();
    assert!(lines.contains(&"receive notification from peer_id=0 vector=1"), "{out}");
    assert!(lines.contains(&"peer 0  2 vectors (this one)"), "{out}");

    let (status, out, error) = run(&server, "wait 0 10ms\npeers\n");
    assert_eq!(status, Some(1));
    assert_eq!(error, "no doorbell within 10ms\n");
    assert!(out.contains("(this one)"), "the shell goes on: {out}");
}

#[test]
fn failed_command_sets_the_status_only() {
    let server = RealServer::start(1);
    let script = "nonsense\nint 9 0\nint 0 7\nwait 7\nread 1M 1\nwrite 0 zz\nint\n\n;;\nhelp\n";
    let (status, out, error) = run(&server, script);
    assert_eq!(status, Some(1));
    let expected = [
        "invalid command, type help: nonsense",
        "peer 9 is not connected; connected: none",
        "peer 0 does not have vector 7; it has 1, counted from 0",
        "peer 0 does not have vector 7; it has 1, counted from 0",
        "1 byte at offset 0x100000 leaves the shared memory of 1048576 bytes",
        "zz is not hexadecimal: two digits per byte are expected",
        "usage: int PEER VECTOR, int PEER all, or int all",
    ];
    assert_eq!(error.lines().collect::<Vec<_>>(), expected);
    assert!(out.starts_with("help, ?"), "{out}");
}

#[test]
fn invalid_utf_8_is_an_invalid_command() {
    let server = RealServer::start(1);
    let mut shell = Shell::start(&server.socket());
    shell.stdin.as_mut().unwrap().write_all(b"int 0 \xff\xfe\npeers\n").unwrap();
    assert_eq!(shell.line(), "peer 0  1 vector (this one)");
    let (status, _, error) = shell.end();
    assert_eq!((status, error.as_str()), (Some(1), "usage: int PEER VECTOR, int PEER all, or int all\n"));
}

#[test]
fn quit_skips_the_rest() {
    let server = RealServer::start(1);
    assert_eq!(run(&server, "quit; nonsense\nnonsense\n"), (Some(0), String::new(), String::new()));
}

#[test]
fn rings_known_peers_without_the_server() {
    let mut server = RealServer::start(1);
    let other = server.client();
    let mut shell = Shell::start(&server.socket());
    shell.type_line("read 0 1");
    shell.line();
    server.stop();
    // At its end the server reports that every peer left.
    assert_eq!(shell.line(), "peer 0 left");
    shell.type_line("int 1 0");
    assert_eq!(shell.line(), "receive notification from peer_id=1 vector=0");
    drop(other);
    let (status, _, error) = shell.end();
    assert_eq!(status, Some(1));
    assert!(error.contains("closed the connection"), "{error}");
    assert!(error.contains("the known peers can still be rung"), "{error}");
}
