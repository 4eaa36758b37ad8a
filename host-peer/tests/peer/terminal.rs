//! The shell and `read` at a pseudoterminal.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command, ExitStatus, Stdio};

use nix::fcntl::OFlag;
use nix::pty::{grantpt, posix_openpt, ptsname_r, unlockpt};
use proto::wire::{PeerId, Vector};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process};

use crate::host_peer;
use test_support::LONG;
use test_support::real_server::RealServer;

/// A command at a terminal; killed when dropped.
struct Session {
    terminal: File,
    child: Child,
    /// Output that no `expect` has consumed.
    shown: String,
}

impl Session {
    /// Only the command holds the other end: the terminal hangs up when it ends.
    fn start(mut command: Command) -> Self {
        let master = posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let slave = OpenOptions::new().read(true).write(true).open(ptsname_r(&master).unwrap()).unwrap();
        let end = || Stdio::from(slave.try_clone().unwrap());
        command.env("TERM", "xterm").stdin(end()).stdout(end()).stderr(Stdio::null());
        let child = command.spawn().unwrap();
        let master: OwnedFd = master.as_fd().try_clone_to_owned().unwrap();
        Self { terminal: master.into(), child, shown: String::new() }
    }

    fn type_text(&mut self, text: &str) {
        self.terminal.write_all(text.as_bytes()).unwrap();
    }

    /// Reads until the terminal shows `text`; returns the output up to there.
    #[track_caller]
    fn expect(&mut self, text: &str) -> String {
        let mut bytes = [0; 256];
        let patience = Timespec { tv_sec: 60, tv_nsec: 0 };
        loop {
            if let Some(at) = self.shown.find(text) {
                let rest = self.shown.split_off(at + text.len());
                return std::mem::replace(&mut self.shown, rest);
            }
            let ready = poll(&mut [PollFd::new(&self.terminal, PollFlags::IN)], Some(&patience)).unwrap();
            assert_eq!(ready, 1, "no {text:?} in {:?}", self.shown);
            let count = self.terminal.read(&mut bytes);
            let count = count.unwrap_or_else(|error| panic!("{error}: no {text:?} in {:?}", self.shown));
            self.shown.push_str(&String::from_utf8_lossy(&bytes[..count]));
        }
    }

    fn end(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn has_prompt_completion_events_and_history() {
    let server = RealServer::start(1);
    let mut other = server.client();
    let folder = tempfile::tempdir().unwrap();
    let history = folder.path().join("history");
    let mut command = host_peer(&server.socket());
    command.arg("shell").arg("--history").arg(&history);
    let mut shell = Session::start(command);
    shell.expect("cmd> ");
    // Tab completes "pe" to "peers".
    shell.type_text("pe\t\r");
    shell.expect("peer 1  1 vector (this one)");
    shell.expect("cmd> ");
    while other.peers().is_empty() {
        other.poll_events(LONG).unwrap();
    }
    // During the input of a line.
    shell.type_text("int 0");
    shell.expect("int 0");
    other.ring(PeerId(1), Vector(0)).unwrap();
    shell.expect("receive notification from peer_id=1 vector=0");
    shell.type_text(" 0;dump\r");
    shell.expect("our_id = 1");
    shell.expect("cmd> ");
    assert_eq!(other.wait(Vector(0), Some(LONG)).unwrap(), Some(1));
    // Ctrl-C discards the line, Ctrl-D ends the input. Failed commands do not affect the status.
    shell.type_text("given up");
    shell.expect("given up");
    shell.type_text("\x03");
    shell.expect("cmd> ");
    shell.type_text("nonsense;dump\r");
    shell.expect("our_id = 1");
    shell.expect("cmd> ");
    shell.type_text("\x04");
    assert_eq!(shell.end().code(), Some(0));
    let kept = std::fs::read_to_string(&history).unwrap();
    let typed: Vec<&str> = kept.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(typed, ["peers", "int 0 0;dump", "nonsense;dump"]);
}

#[test]
fn ctrl_c_ends_a_command_not_the_shell() {
    let server = RealServer::start(2);
    let mut command = host_peer(&server.socket());
    command.arg("shell");
    let mut shell = Session::start(command);
    let id = Pid::from_child(&shell.child);
    for long in ["wait 1", "wait", "wait 1h", "ring 0 0 1000000000000"] {
        shell.expect("cmd> ");
        shell.type_text(&format!("dump;{long};peers\r"));
        shell.expect("our_id = 0");
        // The signal of Ctrl-C.
        kill_process(id, Signal::INT).unwrap();
        let shown = shell.expect("cmd> ");
        assert!(!shown.contains("this one"), "the rest of the line is skipped: {shown:?}");
        shell.type_text("peers\r");
        shell.expect("peer 0  2 vectors (this one)");
    }
    shell.expect("cmd> ");
    shell.type_text("\x04");
    assert_eq!(shell.end().code(), Some(0));
}

#[test]
fn hangup_ends_the_shell() {
    let server = RealServer::start(1);
    let mut command = host_peer(&server.socket());
    command.arg("shell");
    let mut shell = Session::start(command);
    shell.expect("cmd> ");
    // Closes the terminal.
    shell.terminal = File::open("/dev/null").unwrap();
    assert!(shell.end().code().is_some(), "ends without a signal");
}

#[test]
fn refuses_raw_bytes_at_a_terminal() {
    let server = RealServer::start(1);
    let mut command = host_peer(&server.socket());
    command.args(["read", "0", "16"]);
    assert_eq!(Session::start(command).end().code(), Some(2));
    let mut command = host_peer(&server.socket());
    command.args(["read", "0", "16", "--hex"]);
    let mut dump = Session::start(command);
    let shown = dump.expect("................");
    assert!(shown.starts_with("00000000  00 00"), "{shown:?}");
    assert_eq!(dump.end().code(), Some(0));
}
