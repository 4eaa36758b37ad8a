//! One client's way out: turns its notices into messages and sends them, in order and without loss,
//! as fast as that client reads.

use std::io::{self, ErrorKind};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use proto::wire::{self, PROTOCOL_VERSION};
use rustix::io::Errno;
use rustix::net::sockopt::set_socket_send_buffer_size;
use sendfd::SendWithFd;
use tokio::net::UnixStream;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::sleep;
use tracing::debug;

use crate::registry::{Doorbells, Notice};

/// How long to wait when too many descriptors are under way. Nothing tells when there are fewer.
const IN_FLIGHT_PAUSE: Duration = Duration::from_millis(10);

/// How much a client's socket may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SocketRoom {
    /// The least that the kernel grants: six messages. The kernel counts the descriptors that a user
    /// has under way, and at its limit of open files stops all of that user's sending. Clients that
    /// do not read must not bring it there; to those that do it makes no difference.
    Least,
    /// The most that the kernel grants, some hundred messages: at the end, so that a client can read
    /// what it was told after the server is gone.
    Most,
}

/// Sets how much a client's socket may hold; when it grows, waiting senders wake up.
pub(crate) fn set_room(stream: &UnixStream, room: SocketRoom) {
    let bytes = match room {
        SocketRoom::Least => 1,
        SocketRoom::Most => 1 << 20,
    };
    if let Err(error) = set_socket_send_buffer_size(stream, bytes) {
        debug!("a client's socket keeps its buffer's size: {error}");
    }
}

/// What a server's outboxes have in common.
#[derive(Debug, Clone)]
pub(crate) struct Terms {
    /// How many vectors each peer has.
    pub(crate) vectors: u16,
    /// Sent for the doorbells of a peer that left before this client heard of it. The client counts
    /// messages, so they must come; their descriptors are closed by then, so another must do.
    pub(crate) silent_bell: Arc<OwnedFd>,
}

/// Sends notices until the queue is closed and empty, or the connection fails.
pub(crate) async fn deliver(
    stream: &UnixStream,
    notices: &mut UnboundedReceiver<Notice>,
    terms: &Terms,
) -> io::Result<()> {
    while let Some(notice) = notices.recv().await {
        match notice {
            Notice::Version => send_plain(stream, PROTOCOL_VERSION).await?,
            Notice::YouAre(id) | Notice::Left(id) => send_plain(stream, id.to_wire()).await?,
            Notice::Memory(fd) => {
                send(stream, wire::MEMORY, |bytes| with_fd(stream, bytes, &fd)).await?;
            }
            Notice::Doorbells(doorbells) => announce(stream, &doorbells, terms).await?,
        }
    }
    Ok(())
}

async fn announce(stream: &UnixStream, doorbells: &Doorbells, terms: &Terms) -> io::Result<()> {
    for vector in 0..usize::from(terms.vectors) {
        // Looked up for each attempt: the peer may leave while this one waits.
        send(stream, doorbells.peer.to_wire(), |bytes| match doorbells.eventfds.upgrade() {
            Some(eventfds) => with_fd(stream, bytes, &eventfds[vector]),
            None => with_fd(stream, bytes, &terms.silent_bell),
        })
        .await?;
    }
    Ok(())
}

fn with_fd(stream: &UnixStream, bytes: &[u8], fd: &OwnedFd) -> io::Result<usize> {
    stream.send_with_fd(bytes, &[fd.as_raw_fd()])
}

async fn send_plain(stream: &UnixStream, value: i64) -> io::Result<()> {
    send(stream, value, |bytes| stream.try_write(bytes)).await
}

/// Sends one message. `first` sends its first bytes, and the descriptor with them.
async fn send(stream: &UnixStream, value: i64, first: impl Fn(&[u8]) -> io::Result<usize>) -> io::Result<()> {
    let bytes = wire::encode(value);
    let mut sent = 0;
    while sent < bytes.len() {
        let attempt = match sent {
            0 => first(&bytes),
            _ => stream.try_write(&bytes[sent..]),
        };
        match attempt {
            Ok(count) => sent += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => stream.writable().await?,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // The limit counts the user's descriptors in all sockets' buffers: clients that do not
            // read use it up, those that read give it back.
            Err(error) if Errno::from_io_error(&error) == Some(Errno::TOOMANYREFS) => {
                sleep(IN_FLIGHT_PAUSE).await;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
