//! The interactive shell: executes commands from a terminal or a pipe and prints events.
//!
//! 1. `command`: parses a line. 2. `input`: reads lines. 3. `editor`: line editor of a terminal.
//! 4. `action`: executes a command. `interrupt`: Ctrl-C. This file: the event loop.

mod action;
mod command;
mod editor;
mod input;
mod interrupt;

use std::io::{self, ErrorKind, IsTerminal};
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;
use cli_common::output;
use client::{Client, ClientError, ClientEvent, PeerChange};
use proto::wire::Vector;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use action::Flow;
use command::{ShellCommand, commands};
use editor::{CommandCompleter, InputLine};
use input::Input;
use interrupt::{Interrupt, Interrupted};

/// Prints a line: above the edited line of a terminal, or to stdout.
type Output = Box<dyn FnMut(&str) -> io::Result<()>>;

/// A shell with its client.
struct Shell {
    client: Client,
    output: Output,
    /// Completion of the editor.
    completer: CommandCompleter,
    /// Only at a terminal. With a pipe, Ctrl-C ends the process.
    interrupt: Option<Interrupt>,
    /// Whether the server is connected.
    connected: bool,
    failures: u64,
    /// The error that ended the output.
    output_error: Option<io::Error>,
}

/// Runs the shell until `quit` or the end of the input. With a pipe the status is 1 if a command failed.
pub(crate) fn run(client: Client, history: Option<&Path>) -> anyhow::Result<ExitCode> {
    let completer = CommandCompleter::default();
    let at_terminal = io::stdin().is_terminal();
    // Before the editor starts: it restores the handlers that it finds.
    let interrupt = at_terminal.then(Interrupt::catch).transpose()?;
    let (input, output) = if at_terminal {
        output::print(&format!("peer {}; help lists the commands\n", client.id()))?;
        Input::from_terminal(completer.clone(), history)?
    } else {
        (Input::from_pipe()?, Box::new(|text: &str| output::write(&format!("{text}\n"))) as Output)
    };
    let mut shell = Shell { client, output, completer, interrupt, connected: true, failures: 0, output_error: None };
    shell.run(&input)?;
    let failed = shell.failures > 0 && !at_terminal;
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

impl Shell {
    fn run(&mut self, input: &Input) -> anyhow::Result<()> {
        loop {
            self.print_pending_events();
            self.completer.set_peers(&self.client);
            if let Some(error) = self.output_error.take() {
                // The reader closed the pipe.
                let enough = error.kind() == ErrorKind::BrokenPipe;
                return if enough { Ok(()) } else { Err(error).context("cannot write to stdout") };
            }
            self.wait_for(input.ready(), None).context("cannot wait for commands and doorbells")?;
            match input.take()? {
                None => {}
                Some(InputLine::End) => {
                    self.print_pending_events();
                    return Ok(());
                }
                Some(InputLine::Text(line)) => {
                    self.was_interrupted();
                    for text in commands(&line) {
                        match self.execute(text) {
                            Flow::Next => {}
                            Flow::SkipLine => break,
                            Flow::Quit => return Ok(()),
                        }
                    }
                    self.print_pending_events();
                    self.completer.set_peers(&self.client);
                    input.resume();
                }
            }
        }
    }

    /// Waits until there is something to read from `other`, from a doorbell or from the server.
    fn wait_for(&self, other: BorrowedFd<'_>, timeout: Option<Duration>) -> Result<(), Errno> {
        let mut fds = vec![PollFd::from_borrowed_fd(other, PollFlags::IN)];
        fds.extend(self.client.own_vectors().iter().map(|fd| PollFd::new(fd, PollFlags::IN)));
        if self.connected {
            fds.push(PollFd::from_borrowed_fd(self.client.server_fd(), PollFlags::IN));
        }
        // A timeout beyond the range of Timespec is unlimited.
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(errno) => Err(errno),
        }
    }

    /// Whether Ctrl-C was pressed since the last call.
    fn was_interrupted(&self) -> bool {
        self.interrupt.as_ref().is_some_and(Interrupt::came)
    }

    fn execute(&mut self, text: &str) -> Flow {
        let done = match ShellCommand::parse(text) {
            Ok(None) => Ok(Flow::Next),
            Ok(Some(command)) => self.act(command),
            Err(error) => Err(error.into()),
        };
        done.unwrap_or_else(|error| {
            self.failures += 1;
            let interrupted = error.is::<Interrupted>();
            // The terminal shows ^C on the line.
            output::print_error(&format!("{}{error:#}", if interrupted { "\n" } else { "" }));
            if interrupted { Flow::SkipLine } else { Flow::Next }
        })
    }

    fn print(&mut self, text: &str) {
        if let Err(error) = (self.output)(text) {
            self.output_error.get_or_insert(error);
        }
    }

    /// Prints all pending events.
    fn print_pending_events(&mut self) {
        while self.next(Some(Duration::ZERO)).is_some() {}
    }

    /// Waits for the next event and prints it.
    fn next(&mut self, timeout: Option<Duration>) -> Option<ClientEvent> {
        if self.connected {
            match self.client.next(timeout) {
                Ok(event) => return event.inspect(|event| self.print_event(event)),
                Err(error) => self.server_failed(error),
            }
        }
        let rung = self.client.wait_any(timeout);
        match rung {
            Ok(rung) => {
                rung.map(|(vector, rings)| ClientEvent::Rung { vector, rings }).inspect(|event| self.print_event(event))
            }
            Err(error) => {
                self.failures += 1;
                output::print_error(&format!("{error:#}"));
                None
            }
        }
    }

    /// Waits for the next event or Ctrl-C, and prints the event.
    fn next_or_interrupt(&mut self, timeout: Option<Duration>) -> anyhow::Result<Option<ClientEvent>> {
        let start = Instant::now();
        loop {
            let Some(interrupt) = &self.interrupt else { return Ok(self.next(timeout)) };
            // Checked first: busy doorbells must not delay it.
            if interrupt.came() {
                return Err(Interrupted.into());
            }
            let event = self.next(Some(Duration::ZERO));
            let left = timeout.map(|limit| limit.saturating_sub(start.elapsed()));
            if event.is_some() || left.is_some_and(|left| left.is_zero()) {
                return Ok(event);
            }
            if let Some(interrupt) = &self.interrupt {
                self.wait_for(interrupt.ready(), left).context("cannot wait for doorbells")?;
            }
        }
    }

    /// Known peers can still ring each other, so the shell continues.
    fn server_failed(&mut self, error: ClientError) {
        self.connected = false;
        self.failures += 1;
        let error = anyhow::Error::from(error);
        output::print_error(&format!("{error:#}; the known peers can still be rung, but no new peer can join"));
    }

    fn print_event(&mut self, event: &ClientEvent) {
        match *event {
            ClientEvent::Rung { vector, rings } => {
                let text = notification(self.client.id().0, vector, rings);
                self.print(&text);
            }
            ClientEvent::Peer(PeerChange::Joined { peer }) => self.print(&format!("peer {peer} joined")),
            ClientEvent::Peer(PeerChange::Left { peer }) => self.print(&format!("peer {peer} left")),
            // Reported with the first vector of the peer.
            ClientEvent::Peer(PeerChange::VectorAdded { .. }) => {}
        }
    }
}

/// In the format of QEMU's example client, which names the rung peer; the sender is unknown. Coalesced rings are one
/// line.
fn notification(own: u16, vector: Vector, rings: u64) -> String {
    let merged = if rings > 1 { format!(" ({rings} rings)") } else { String::new() };
    format!("receive notification from peer_id={own} vector={vector}{merged}")
}
