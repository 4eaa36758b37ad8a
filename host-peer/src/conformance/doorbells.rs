//! Checks that doorbells are eventfds and ring the right vector.

use std::os::fd::OwnedFd;

use rustix::fs::{OFlags, fcntl_getfl};
use rustix::io::{Errno, read, write};

use super::recorder::{INIT_MESSAGES, RecordedMessage, RecordingClient};
use client::descriptor;

/// Rings per doorbell: one that does not count would return 1.
const RINGS: u64 = 3;

/// The doorbells of a peer that a client received, by vector.
fn doorbells_of(client: &RecordingClient, peer: i64) -> Vec<&OwnedFd> {
    client.log.iter().skip(INIT_MESSAGES).filter(|message| message.value == peer).flat_map(|s| &s.fds).collect()
}

pub(super) fn are_eventfds(messages: &[RecordedMessage]) -> Result<(), String> {
    for (message, fd) in each(messages) {
        if let Some(kind) = descriptor::kind_unless_eventfd(fd) {
            return Err(format!("a doorbell of peer {} is a {kind}", message.value));
        }
    }
    Ok(())
}

/// Checks the flag, and sets it: a later ring must not block the check.
pub(super) fn are_non_blocking(messages: &[RecordedMessage]) -> Result<(), String> {
    let mut verdict = Ok(());
    for (message, fd) in each(messages) {
        let flags = fcntl_getfl(fd).map_err(|errno| format!("cannot read the flags of a doorbell: {errno}"))?;
        if !flags.contains(OFlags::NONBLOCK) {
            verdict = Err(format!("a doorbell of peer {} is blocking", message.value));
        }
        descriptor::set_nonblocking(fd).map_err(|error| format!("cannot make a doorbell non-blocking: {error}"))?;
    }
    verdict
}

fn each(messages: &[RecordedMessage]) -> impl Iterator<Item = (&RecordedMessage, &OwnedFd)> {
    messages.iter().flat_map(|message| message.fds.iter().map(move |fd| (message, fd)))
}

/// Rings every vector of `to` with the eventfds of `from`, and reads the counters of `to`.
pub(super) fn ring(from: &RecordingClient, to: &RecordingClient) -> Result<(), String> {
    let own = doorbells_of(to, to.id());
    for fd in &own {
        take(fd)?;
    }
    for (vector, bell) in doorbells_of(from, to.id()).into_iter().enumerate() {
        for _ in 0..RINGS {
            write(bell, &1_u64.to_ne_bytes()).map_err(|errno| format!("cannot ring a doorbell: {errno}"))?;
        }
        let received: Vec<u64> = own.iter().map(|fd| take(fd)).collect::<Result<_, _>>()?;
        let expected: Vec<u64> = (0..own.len()).map(|at| if at == vector { RINGS } else { 0 }).collect();
        if received != expected {
            let (from, to) = (from.id(), to.id());
            return Err(format!(
                "{RINGS} rings of vector {vector} of peer {to} by peer {from} arrived as {received:?}, by vector"
            ));
        }
    }
    Ok(())
}

/// Reads and clears the counter.
fn take(fd: &OwnedFd) -> Result<u64, String> {
    let mut count = [0; 8];
    loop {
        return match read(fd, &mut count) {
            Ok(_) => Ok(u64::from_ne_bytes(count)),
            Err(Errno::AGAIN) => Ok(0),
            Err(Errno::INTR) => continue,
            Err(errno) => Err(format!("cannot read a doorbell: {errno}")),
        };
    }
}
