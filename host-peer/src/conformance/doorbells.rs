//! Judging the eventfds: by what they are, and by ringing them.

use std::os::fd::OwnedFd;

use rustix::fs::{OFlags, fcntl_getfl};
use rustix::io::{Errno, read, write};

use super::recorder::{RecordedMessage, RecordingClient};
use client::descriptor;

/// Rings at a time: a doorbell that does not count would say one.
const RINGS: u64 = 3;

/// The doorbells of a peer as a client got them, by vector.
fn of(client: &RecordingClient, peer: i64) -> Vec<&OwnedFd> {
    client
        .log
        .iter()
        .skip(super::handshake::INIT_MESSAGES)
        .filter(|message| message.value == peer)
        .flat_map(|s| &s.fds)
        .collect()
}

pub(super) fn are_eventfds(messages: &[RecordedMessage]) -> Result<(), String> {
    for (message, fd) in each(messages) {
        if let Some(kind) = descriptor::kind_unless_eventfd(fd) {
            return Err(format!("one of peer {} is a {kind}", message.value));
        }
    }
    Ok(())
}

/// Looks, and makes them non-blocking afterwards, so that no later ring can hold the examination.
pub(super) fn are_non_blocking(messages: &[RecordedMessage]) -> Result<(), String> {
    let mut verdict = Ok(());
    for (message, fd) in each(messages) {
        let flags = fcntl_getfl(fd).map_err(|errno| format!("the flags of one cannot be read: {errno}"))?;
        if !flags.contains(OFlags::NONBLOCK) {
            verdict = Err(format!("one of peer {} is not", message.value));
        }
        descriptor::set_nonblocking(fd).map_err(|error| format!("one cannot be made so: {error}"))?;
    }
    verdict
}

fn each(messages: &[RecordedMessage]) -> impl Iterator<Item = (&RecordedMessage, &OwnedFd)> {
    messages.iter().flat_map(|message| message.fds.iter().map(move |fd| (message, fd)))
}

/// Rings every vector of `to` through what `from` was given, and looks which of `to`'s own doorbells heard it.
pub(super) fn ring(from: &RecordingClient, to: &RecordingClient) -> Result<(), String> {
    let own = of(to, to.id());
    for fd in &own {
        take(fd)?;
    }
    for (vector, bell) in of(from, to.id()).into_iter().enumerate() {
        for _ in 0..RINGS {
            write(bell, &1_u64.to_ne_bytes()).map_err(|errno| format!("one cannot be rung: {errno}"))?;
        }
        let heard: Vec<u64> = own.iter().map(|fd| take(fd)).collect::<Result<_, _>>()?;
        let expected: Vec<u64> = (0..own.len()).map(|at| if at == vector { RINGS } else { 0 }).collect();
        if heard != expected {
            let (from, to) = (from.id(), to.id());
            return Err(format!(
                "{RINGS} rings of vector {vector} of peer {to} by peer {from} were heard as {heard:?} by vector"
            ));
        }
    }
    Ok(())
}

/// The rings that are waiting.
fn take(fd: &OwnedFd) -> Result<u64, String> {
    let mut count = [0; 8];
    loop {
        return match read(fd, &mut count) {
            Ok(_) => Ok(u64::from_ne_bytes(count)),
            Err(Errno::AGAIN) => Ok(0),
            Err(Errno::INTR) => continue,
            Err(errno) => Err(format!("one cannot be read: {errno}")),
        };
    }
}
