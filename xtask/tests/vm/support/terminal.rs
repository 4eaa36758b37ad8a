//! The terminal of `cargo xtask vm`, through pipes.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use nix::unistd::Pid;

use super::{children, end_now, name_of, wait_for_end, xtask};

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
        // Both streams: the CLI writes to stderr, the guest to stdout.
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

    /// Waits for a line that contains `text`. The terminal echoes its input, which must not contain `text`.
    #[track_caller]
    pub(crate) fn expect(&self, text: &str) -> String {
        self.until(text).pop().unwrap()
    }

    /// The lines up to and including the first that contains `text`.
    #[track_caller]
    pub(crate) fn until(&self, text: &str) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            match self.lines.recv_timeout(Duration::from_secs(120)) {
                Ok(line) => {
                    let last = line.contains(text);
                    lines.push(line);
                    if last {
                        return lines;
                    }
                }
                Err(error) => panic!("{error}: no {text:?} in\n{}", lines.join("\n")),
            }
        }
    }

    /// A child process with this name.
    #[track_caller]
    pub(crate) fn child_called(&self, name: &str) -> Pid {
        let started = children(Pid::from_raw(self.child.id().cast_signed()));
        started.into_iter().find(|pid| name_of(*pid) == name).unwrap_or_else(|| panic!("no {name}"))
    }

    pub(crate) fn end(mut self) -> Option<i32> {
        self.type_line("poweroff");
        // The pipe stays open, so QEMU ends only because the guest does.
        wait_for_end(&mut self.child).code()
    }
}

impl Drop for Terminal {
    /// A failed test leaves no processes.
    fn drop(&mut self) {
        end_now(&mut self.child);
    }
}
