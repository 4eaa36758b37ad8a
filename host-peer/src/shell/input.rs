//! Reads lines in a separate thread: events are printed while no line arrives.

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
use super::editor::{CommandCompleter, Editor, InputLine};

/// The receiver of lines.
#[derive(Debug)]
pub(super) struct Input {
    lines: Receiver<io::Result<InputLine>>,
    /// Requests the next line after the previous one was executed: the prompt follows the output.
    resume_tx: Sender<()>,
    /// Readable when a line may be there.
    ready: Arc<OwnedFd>,
}

impl Input {
    /// Reads from stdin, without prompts.
    pub(super) fn from_pipe() -> anyhow::Result<Self> {
        Self::start(stdin_line)
    }

    /// Edits lines at the terminal. The output appears above the edited line.
    pub(super) fn from_terminal(completer: CommandCompleter, history: Option<&Path>) -> anyhow::Result<(Self, Output)> {
        let mut editor = Editor::new(completer, history)?;
        let output = editor.output()?;
        let input = Self::start(move || editor.line())?;
        Ok((input, output))
    }

    fn start(mut next: impl FnMut() -> io::Result<InputLine> + Send + 'static) -> anyhow::Result<Self> {
        let flags = EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC;
        let ready = Arc::new(eventfd(0, flags).context("cannot make an eventfd")?);
        let (sender, lines) = channel();
        let (resume_tx, resumed) = channel();
        let bell = Arc::clone(&ready);
        // Not joined: it blocks on the terminal and ends with the process.
        thread::spawn(move || {
            loop {
                let line = next();
                let last = !matches!(line, Ok(InputLine::Text(_)));
                // The receiver is gone: the shell has ended.
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

    /// Readable if input is available.
    pub(super) fn ready(&self) -> BorrowedFd<'_> {
        self.ready.as_fd()
    }

    /// The next line, if available.
    pub(super) fn take(&self) -> anyhow::Result<Option<InputLine>> {
        match read(&self.ready, &mut [0; 8]) {
            Ok(_) | Err(Errno::AGAIN | Errno::INTR) => {}
            Err(errno) => return Err(errno).context("cannot read an eventfd"),
        }
        match self.lines.try_recv() {
            Ok(line) => line.map(Some).context("cannot read commands"),
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => Ok(Some(InputLine::End)),
        }
    }

    /// Requests the next line.
    pub(super) fn resume(&self) {
        // If the reader ended, `InputLine::End` is in the channel.
        let _ = self.resume_tx.send(());
    }
}

fn stdin_line() -> io::Result<InputLine> {
    let mut line = Vec::new();
    let count = io::stdin().lock().read_until(b'\n', &mut line)?;
    // Invalid UTF-8 is an invalid command, which does not end the shell.
    Ok(if count == 0 { InputLine::End } else { InputLine::Text(String::from_utf8_lossy(&line).into_owned()) })
}
