//! Where a shell's lines come from: a thread of its own, so that notifications need not wait for a line.

use std::io::{self, BufRead};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread;

use anyhow::Context;
use rustix::event::{EventfdFlags, eventfd};
use rustix::io::{Errno, read, write};

use super::Output;
use super::editor::{CommandCompleter, Editor};

/// What came.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    Text(String),
    End,
}

/// The receiving end.
#[derive(Debug)]
pub(super) struct Input {
    lines: Receiver<io::Result<Line>>,
    /// The next line is asked for only when the last one is done, so that a prompt comes after its answer.
    resume_tx: Sender<()>,
    /// Readable when a line may be there.
    ready: Arc<OwnedFd>,
}

impl Input {
    /// Reads from stdin, without prompts.
    pub(super) fn from_pipe() -> anyhow::Result<Self> {
        Self::start(stdin_line)
    }

    /// Edits lines at the terminal. What is written to the output appears above the line that is being edited.
    pub(super) fn from_terminal(completer: CommandCompleter, history: Option<&Path>) -> anyhow::Result<(Self, Output)> {
        let mut editor = Editor::new(completer, history)?;
        let output = editor.output()?;
        let input = Self::start(move || editor.line())?;
        Ok((input, output))
    }

    fn start(mut next: impl FnMut() -> io::Result<Line> + Send + 'static) -> anyhow::Result<Self> {
        let flags = EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC;
        let ready = Arc::new(eventfd(0, flags).context("cannot make an eventfd")?);
        let (sender, lines) = channel();
        let (resume_tx, resumed) = channel();
        let bell = Arc::clone(&ready);
        // Not joined: it blocks on the terminal, and ends with the process.
        thread::spawn(move || {
            loop {
                let line = next();
                let last = !matches!(line, Ok(Line::Text(_)));
                // The shell has ended if nobody listens.
                if sender.send(line).is_err() || write(&bell, &1_u64.to_ne_bytes()).is_err() {
                    return;
                }
                if last || resumed.recv().is_err() {
                    return;
                }
            }
        });
        Ok(Self { lines, resume_tx, ready })
    }

    /// To be polled for input.
    pub(super) fn ready(&self) -> BorrowedFd<'_> {
        self.ready.as_fd()
    }

    /// A line, if one is there.
    pub(super) fn take(&self) -> anyhow::Result<Option<Line>> {
        match read(&self.ready, &mut [0; 8]) {
            Ok(_) | Err(Errno::AGAIN | Errno::INTR) => {}
            Err(errno) => return Err(errno).context("cannot read an eventfd"),
        }
        match self.lines.try_recv() {
            Ok(line) => line.map(Some).context("cannot read commands"),
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => Ok(Some(Line::End)),
        }
    }

    /// Lets the next line come.
    pub(super) fn resume(&self) {
        // The reader has ended if nobody listens, and its end is among the lines.
        let _ = self.resume_tx.send(());
    }
}

fn stdin_line() -> io::Result<Line> {
    let mut line = Vec::new();
    let count = io::stdin().lock().read_until(b'\n', &mut line)?;
    // Bytes that are no text are no command either, and a command that is none does not end the shell.
    Ok(if count == 0 { Line::End } else { Line::Text(String::from_utf8_lossy(&line).into_owned()) })
}
