//! A host peer as a process, which prints the doorbells that it receives.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

use crate::process::child::{Process, SpawnOptions};
use crate::vm::server::socket_pair;

/// A host peer that only receives. Dropping it ends it.
#[derive(Debug)]
pub(super) struct PeerProcess {
    pub(super) id: u16,
    _process: Process,
    /// Its standard input. It leaves at the end of its input.
    _open: UnixStream,
}

impl PeerProcess {
    /// Starts a host peer, waits until it has joined, and passes its doorbell messages to `print`.
    pub(super) fn start(host_peer: &Path, socket: &Path, print: fn(&str)) -> anyhow::Result<Self> {
        let (mut ours, theirs) = socket_pair()?;
        let mut command = Command::new(host_peer);
        command.arg("-S").arg(socket).arg("shell").stdin(OwnedFd::from(theirs)).stdout(Stdio::piped());
        let mut process = Process::start("host-peer", &mut command, SpawnOptions::default())?;
        // The command holds the other end of the socket pair.
        drop(command);
        writeln!(ours, "peers").context("cannot write to the host peer")?;
        let mut output = BufReader::new(process.take_stdout().context("the host peer's stdout was not piped")?);
        let Some(id) = joined_as(&mut output) else { bail!("the host peer did not join; see its message above") };
        std::thread::spawn(move || pass_on(output, print));
        Ok(Self { id, _process: process, _open: ours })
    }
}

/// The peer's id, from the output of the command `peers`.
fn joined_as(output: &mut impl BufRead) -> Option<u16> {
    let own = output.lines().map_while(Result::ok).find(|line| line.ends_with("(this one)"))?;
    own.split_whitespace().nth(1)?.parse().ok()
}

/// Passes on doorbells only. Joins and leaves would be printed once per peer.
fn pass_on(output: BufReader<impl Read>, print: fn(&str)) {
    let lines = output.lines().map_while(Result::ok);
    lines.filter(|line| line.starts_with("receive notification")).for_each(|line| print(&line));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_its_own_line_in_the_peer_list() {
        let mut output = "peer 4 joined\npeer 2  1 vectors (this one)\npeer 0  1 vectors\n".as_bytes();
        assert_eq!(joined_as(&mut output), Some(2));
        assert_eq!(joined_as(&mut "peer 0  1 vectors\n".as_bytes()), None);
    }
}
