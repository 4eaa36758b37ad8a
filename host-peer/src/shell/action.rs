//! Executes commands.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::bail;
use client::plural::plural;
use client::{ClientError, ClientEvent};
use proto::wire::{PeerId, Vector};

use super::Shell;
use super::command::{HELP, ShellCommand, Target};
use super::interrupt::Interrupted;
use crate::commands::hex_dump;
use crate::dump::dump;

/// Rings between two checks for Ctrl-C.
const RINGS_PER_CHECK: u64 = 1000;

/// How to continue after a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flow {
    Next,
    /// Skip the rest of the line.
    SkipLine,
    Quit,
}

impl Shell {
    /// Executes a command.
    pub(super) fn act(&mut self, command: ShellCommand) -> anyhow::Result<Flow> {
        match command {
            ShellCommand::Help => self.print(HELP),
            ShellCommand::Dump => self.print(dump(&self.client).trim_end()),
            ShellCommand::Peers => self.peers(),
            ShellCommand::Ring { target, count } => self.ring(target, count)?,
            ShellCommand::Wait { vector, timeout } => self.wait(vector, timeout)?,
            ShellCommand::Read { offset, len } => {
                let mut bytes = vec![0; usize::try_from(len)?];
                self.client.read_at(offset, &mut bytes)?;
                self.print(hex_dump(offset, &bytes).trim_end());
            }
            ShellCommand::Write { offset, bytes } => self.client.write_at(offset, &bytes)?,
            ShellCommand::Quit => return Ok(Flow::Quit),
        }
        Ok(Flow::Next)
    }

    fn peers(&mut self) {
        let own = plural(self.client.own_vectors().len(), "vector");
        let mut text = format!("peer {}  {own} (this one)", self.client.id());
        for (peer, vectors) in self.client.peers() {
            let _ = write!(text, "\npeer {peer}  {}", plural(vectors.len(), "vector"));
        }
        self.print(&text);
    }

    fn ring(&self, target: Target, count: u64) -> anyhow::Result<()> {
        for done in 0..count {
            if done % RINGS_PER_CHECK == RINGS_PER_CHECK - 1 && self.was_interrupted() {
                return Err(Interrupted.into());
            }
            match target {
                Target::One(peer, vector) => self.client.ring(peer, vector)?,
                Target::AllOf(peer) => self.ring_all_of(peer)?,
                Target::All => self.client.peers().keys().try_for_each(|&peer| self.ring_all_of(peer))?,
            }
        }
        Ok(())
    }

    fn ring_all_of(&self, peer: PeerId) -> Result<(), ClientError> {
        // A vector of an unknown peer is rung anyway, for the error that lists the connected peers.
        let vectors = self.client.vectors_of(peer).map_or(1, <[_]>::len);
        (0..=u16::MAX).take(vectors).try_for_each(|vector| self.client.ring(peer, Vector(vector)))
    }

    /// Prints events until the vector, or any vector, is rung.
    fn wait(&mut self, wanted: Option<Vector>, timeout: Option<Duration>) -> anyhow::Result<()> {
        let count = self.client.own_vectors().len();
        if let Some(vector) = wanted
            && usize::from(vector.0) >= count
        {
            return Err(ClientError::UnknownVector { peer: self.client.id(), vector, count }.into());
        }
        let start = Instant::now();
        loop {
            let left = timeout.map(|limit| limit.saturating_sub(start.elapsed()));
            match self.next_or_interrupt(left)? {
                Some(ClientEvent::Rung { vector, .. }) if wanted.is_none_or(|wanted| wanted == vector) => return Ok(()),
                Some(_) if left.is_none_or(|left| !left.is_zero()) => {}
                _ => bail!("no doorbell within {:?}", timeout.unwrap_or_default()),
            }
        }
    }
}
