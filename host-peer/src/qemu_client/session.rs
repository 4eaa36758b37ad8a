//! One connection: executes commands and prints lines in the format of QEMU's client.

use std::io::{self, IsTerminal};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use anyhow::Context;
use cli_common::output::{print_error, print_to_reader};
use client::{Client, ClientError, ClientEvent, PeerChange};
use proto::wire::{PeerId, Vector};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::stdio::stdin;

use super::command::{HELP, QemuCommand};
use super::input::CommandInput;
use super::{NAME, PROMPT};
use crate::dump::dump;

/// Events reported before commands are read again: a busy doorbell must not block commands.
const MAX_EVENTS: usize = 1000;

/// Why a session ended.
#[derive(Debug)]
pub(super) enum End {
    /// Stdin ended.
    Input,
    /// The server is gone, or broke the protocol.
    Server(ClientError),
}

/// A connected client.
#[derive(Debug)]
pub(super) struct PromptSession {
    client: Client,
    verbose: bool,
}

impl PromptSession {
    /// Reports the connection.
    pub(super) fn start(client: Client, verbose: bool) -> anyhow::Result<Self> {
        let session = Self { client, verbose };
        let client = &session.client;
        session.debug(|| format!("our_id={}\nshm_fd={}\n", client.id(), client.memory().as_raw_fd()))?;
        print_to_reader(&format!("listen on server socket {}\n", client.server_fd().as_raw_fd()))?;
        for (&peer, vectors) in client.peers() {
            session.debug(|| format!("new peer id = {peer}\n"))?;
            session.debug(|| new_vectors(peer, vectors, 0))?;
        }
        session.debug(|| new_vectors(client.id(), client.own_vectors(), 0))?;
        Ok(session)
    }

    /// Executes commands and reports events until stdin or the server ends.
    pub(super) fn run(mut self, input: &mut CommandInput) -> anyhow::Result<End> {
        loop {
            if let Some(lines) = input.take() {
                for command in lines.iter().filter_map(|line| QemuCommand::parse(line)) {
                    self.execute(command)?;
                }
                print_to_reader(PROMPT)?;
            }
            let is_quiet = match self.report_events()? {
                Ok(is_quiet) => is_quiet,
                Err(error) => return Ok(End::Server(error)),
            };
            // Pending events are reported; busy doorbells must not keep the client alive.
            if input.has_ended() {
                if io::stdin().is_terminal() {
                    print_to_reader("\n")?;
                }
                return Ok(End::Input);
            }
            if self.wait(is_quiet, !input.has_ended())? {
                input.read()?;
            }
        }
    }

    /// Waits for any event, or only checks; returns whether stdin is readable.
    fn wait(&self, may_block: bool, with_stdin: bool) -> anyhow::Result<bool> {
        let mut fds = vec![PollFd::from_borrowed_fd(self.client.server_fd(), PollFlags::IN)];
        fds.extend(self.client.own_vectors().iter().map(|fd| PollFd::new(fd, PollFlags::IN)));
        if with_stdin {
            fds.push(PollFd::from_borrowed_fd(stdin(), PollFlags::IN));
        }
        let no_wait = Timespec { tv_sec: 0, tv_nsec: 0 };
        match poll(&mut fds, (!may_block).then_some(&no_wait)) {
            Ok(_) => Ok(with_stdin && fds.last().is_some_and(|stdin| !stdin.revents().is_empty())),
            Err(Errno::INTR) => Ok(false),
            Err(errno) => Err(errno).context("cannot wait for commands and doorbells"),
        }
    }

    /// Reports events; returns whether all have been reported.
    fn report_events(&mut self) -> anyhow::Result<Result<bool, ClientError>> {
        for _ in 0..MAX_EVENTS {
            match self.client.next(Some(Duration::ZERO)) {
                Ok(Some(event)) => self.report(event)?,
                Ok(None) => return Ok(Ok(true)),
                Err(error) => {
                    self.debug(|| "lost connection to server\n".into())?;
                    return Ok(Err(error));
                }
            }
        }
        Ok(Ok(false))
    }

    fn report(&self, event: ClientEvent) -> anyhow::Result<()> {
        match event {
            ClientEvent::Rung { vector, rings } => {
                let fd = self.client.own_vectors().get(usize::from(vector.0)).map_or(-1, AsRawFd::as_raw_fd);
                self.debug(|| format!("received event on fd {fd} vector {vector}: {rings}\n"))?;
                let own = self.client.id();
                print_to_reader(&format!("receive notification from peer_id={own} vector={vector}\n"))?;
            }
            ClientEvent::Peer(PeerChange::Joined { peer }) => {
                self.debug(|| format!("new peer id = {peer}\n"))?;
                self.debug(|| self.new_vector(peer, Vector(0)))?;
            }
            ClientEvent::Peer(PeerChange::VectorAdded { peer, vector }) => {
                self.debug(|| self.new_vector(peer, vector))?;
            }
            ClientEvent::Peer(PeerChange::Left { peer }) => self.debug(|| format!("delete peer id = {peer}\n"))?,
        }
        Ok(())
    }

    fn execute(&self, command: QemuCommand) -> anyhow::Result<()> {
        match command {
            QemuCommand::Help => print_to_reader(HELP)?,
            QemuCommand::Dump => print_to_reader(&dump(&self.client))?,
            QemuCommand::NotifyAll => {
                for (&peer, vectors) in self.client.peers() {
                    self.notify_all_vectors(peer, vectors)?;
                }
            }
            QemuCommand::NotifyPeer { peer } => {
                if let Some((peer, vectors)) = self.find_peer(peer)? {
                    self.notify_all_vectors(peer, vectors)?;
                }
            }
            QemuCommand::Notify { peer, vector } => {
                if let Some((peer, vectors)) = self.find_peer(peer)? {
                    self.notify(peer, vectors, vector)?;
                }
            }
            QemuCommand::Invalid => print_to_reader("invalid command, type help\n")?,
        }
        Ok(())
    }

    /// A connected peer, possibly this one, with its vectors. Reports an unknown peer.
    fn find_peer(&self, number: i64) -> anyhow::Result<Option<(PeerId, &[OwnedFd])>> {
        let find_peer = PeerId::from_wire(number).and_then(|peer| Some((peer, self.client.vectors_of(peer)?)));
        if find_peer.is_none() {
            print_to_reader(&format!("cannot find peer_id = {number}\n"))?;
        }
        Ok(find_peer)
    }

    fn notify_all_vectors(&self, peer: PeerId, vectors: &[OwnedFd]) -> anyhow::Result<()> {
        (0..).take(vectors.len()).try_for_each(|vector| self.notify(peer, vectors, vector))
    }

    fn notify(&self, peer: PeerId, vectors: &[OwnedFd], number: i64) -> anyhow::Result<()> {
        let vector = u16::try_from(number).ok().filter(|vector| usize::from(*vector) < vectors.len());
        let Some(vector) = vector else {
            self.debug(|| format!("invalid vector {number} on peer {peer}\n"))?;
            print_error(&format!("{NAME}: peer {peer} does not have vector {number}; it has {}", vectors.len()));
            return Ok(());
        };
        let fd = vectors[usize::from(vector)].as_raw_fd();
        self.debug(|| format!("notify peer {peer} on vector {vector}, fd {fd}\n"))?;
        if let Err(error) = self.client.ring(peer, Vector(vector)) {
            print_error(&format!("could not write to {fd}: {:#}", anyhow::Error::from(error)));
        }
        Ok(())
    }

    fn new_vector(&self, peer: PeerId, vector: Vector) -> String {
        let index = usize::from(vector.0);
        let vectors = self.client.vectors_of(peer).unwrap_or_default();
        // A peer that left in the same batch has no vectors.
        new_vectors(peer, vectors.get(index..=index).unwrap_or_default(), index)
    }

    /// Prints a line that only -v shows.
    fn debug(&self, line: impl FnOnce() -> String) -> anyhow::Result<()> {
        if self.verbose {
            print_to_reader(&line())?;
        }
        Ok(())
    }
}

fn new_vectors(peer: PeerId, vectors: &[OwnedFd], first: usize) -> String {
    let lines = vectors.iter().zip(first..);
    let line =
        |(fd, vector): (&OwnedFd, usize)| format!("  new vector {vector} (fd={}) for peer id {peer}\n", fd.as_raw_fd());
    lines.map(line).collect()
}
