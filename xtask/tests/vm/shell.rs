//! `cargo xtask vm`, typed at through a pipe.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use nix::unistd::Pid;

use crate::support::{assert_no_file, children, end_now, ended_within_deadline, name_of, xtask};

/// A guest's terminal.
pub(crate) struct Terminal {
    child: Child,
    stdin: ChildStdin,
    lines: Receiver<String>,
}

impl Terminal {
    pub(crate) fn open(words: &str) -> Self {
        Self::start(xtask(words))
    }

    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        let (sender, lines) = channel();
        // Both streams: the front door speaks on stderr, the guest on stdout.
        let streams: [Box<dyn std::io::Read + Send>; 2] =
            [Box::new(child.stdout.take().unwrap()), Box::new(child.stderr.take().unwrap())];
        for stream in streams {
            let sender = sender.clone();
            thread::spawn(move || {
                for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
                    if sender.send(String::from_utf8_lossy(&line).trim_end().to_owned()).is_err() {
                        return;
                    }
                }
            });
        }
        let stdin = child.stdin.take().unwrap();
        Self { child, stdin, lines }
    }

    pub(crate) fn type_line(&mut self, text: &str) {
        self.stdin.write_all(format!("{text}\n").as_bytes()).unwrap();
    }

    /// Waits for a line that contains `text`. The terminal echoes what is typed, so it must not contain `text` itself.
    #[track_caller]
    pub(crate) fn expect(&self, text: &str) -> String {
        self.until(text).pop().unwrap()
    }

    /// The lines up to and with one that contains `text`.
    #[track_caller]
    pub(crate) fn until(&self, text: &str) -> Vec<String> {
        let mut seen = Vec::new();
        loop {
            match self.lines.recv_timeout(Duration::from_secs(120)) {
                Ok(line) => {
                    let last = line.contains(text);
                    seen.push(line);
                    if last {
                        return seen;
                    }
                }
                Err(error) => panic!("{error}: no {text:?} in\n{}", seen.join("\n")),
            }
        }
    }

    /// A process that was started for this terminal, by its name.
    #[track_caller]
    pub(crate) fn child_called(&self, name: &str) -> Pid {
        let started = children(Pid::from_raw(self.child.id().cast_signed()));
        started.into_iter().find(|pid| name_of(*pid) == name).unwrap_or_else(|| panic!("no {name}"))
    }

    pub(crate) fn end(mut self) -> Option<i32> {
        self.type_line("poweroff");
        // The pipe stays open: QEMU must end because the guest did.
        ended_within_deadline(&mut self.child).code()
    }
}

impl Drop for Terminal {
    /// A test that fails leaves nobody.
    fn drop(&mut self) {
        end_now(&mut self.child);
    }
}

#[test]
#[ignore = "starts a guest"]
fn a_doorbell_guest_has_a_shell_and_its_memory_can_be_reached_from_the_host() {
    let mut terminal = Terminal::open("vm --mode doorbell --accel tcg");
    let reach = terminal.expect("read the memory:");
    let words: Vec<&str> = reach.split_whitespace().skip_while(|word| !word.contains("host-peer")).collect();
    let host_peer = |verb: &[&str]| {
        let output = std::process::Command::new(words[0]).args(&words[1..3]).args(verb).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    terminal.expect("guest is up");
    terminal.type_line("guest-uio probe");
    terminal.expect("memory, doorbell and interrupts can be used");

    terminal.type_line("echo from the guest | guest-uio write 4096; echo written $((40+2))");
    terminal.expect("written 42");
    assert_eq!(host_peer(&["read", "4096", "14"]), b"from the guest");

    terminal.type_line("echo waiting $((40+2)); guest-uio wait --count 1 --timeout 60s; echo status $?");
    terminal.expect("waiting 42");
    thread::sleep(Duration::from_secs(1));
    host_peer(&["ring", "0", "0"]);
    terminal.expect("status 0");

    assert_eq!(terminal.end(), Some(0));
    assert_no_file(std::path::Path::new(words[2]));
}

#[test]
#[ignore = "starts a guest"]
fn a_plain_guest_shares_a_file_that_goes_with_it() {
    let mut terminal = Terminal::open("vm --mode plain --accel tcg");
    let reach = terminal.expect("read the memory:");
    let file = reach.split_whitespace().find(|word| word.starts_with("/dev/shm/")).unwrap().to_owned();
    terminal.expect("guest is up");
    terminal.type_line("guest-uio probe");
    terminal.expect("there are no doorbells");
    terminal.type_line("echo from the guest | guest-uio write 0; echo written $((40+2))");
    terminal.expect("written 42");
    assert_eq!(&std::fs::read(&file).unwrap()[..14], b"from the guest");
    assert_eq!(terminal.end(), Some(0));
    assert_no_file(std::path::Path::new(&file));
}
