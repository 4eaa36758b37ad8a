//! A host process beside the guest that only listens, and what it says when it is rung.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

use crate::process::child::{Process, SpawnOptions};
use crate::vm::server::socket_pair;

/// A host peer that only listens. It ends when dropped.
#[derive(Debug)]
pub(super) struct PeerProcess {
    pub(super) id: u16,
    _process: Process,
    /// Its standard input, at whose end it would leave.
    _open: UnixStream,
}

impl PeerProcess {
    /// Starts one, waits until it has joined, and passes on what it says of its doorbells.
    pub(super) fn start(host_peer: &Path, socket: &Path, tell: fn(&str)) -> anyhow::Result<Self> {
        let (mut ours, theirs) = socket_pair()?;
        let mut command = Command::new(host_peer);
        command.arg("-S").arg(socket).arg("shell").stdin(OwnedFd::from(theirs)).stdout(Stdio::piped());
        let mut process = Process::start("host-peer", &mut command, SpawnOptions::default())?;
        // The command holds the other end of its standard input.
        drop(command);
        writeln!(ours, "peers").context("a bare host peer takes no commands")?;
        let mut said = BufReader::new(process.take_stdout().context("a bare host peer has no output")?);
        let Some(id) = joined_as(&mut said) else { bail!("a bare host peer did not join; what it said is above") };
        std::thread::spawn(move || pass_on(said, tell));
        Ok(Self { id, _process: process, _open: ours })
    }
}

/// The id in the answer to `peers`.
fn joined_as(said: &mut impl BufRead) -> Option<u16> {
    let own = said.lines().map_while(Result::ok).find(|line| line.ends_with("(this one)"))?;
    own.split_whitespace().nth(1)?.parse().ok()
}

/// Doorbells only: who comes and goes, each peer would say for itself.
fn pass_on(said: BufReader<impl Read>, tell: fn(&str)) {
    let lines = said.lines().map_while(Result::ok);
    lines.filter(|line| line.starts_with("receive notification")).for_each(|line| tell(&line));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_known_by_its_own_line_among_the_others() {
        let mut said = "peer 4 joined\npeer 2  1 vectors (this one)\npeer 0  1 vectors\n".as_bytes();
        assert_eq!(joined_as(&mut said), Some(2));
        assert_eq!(joined_as(&mut "peer 0  1 vectors\n".as_bytes()), None);
    }
}
