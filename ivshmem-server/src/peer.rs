//! One client's connection, from its first message to its last.

use std::convert::Infallible;
use std::fmt;
use std::future::pending;
use std::io;

use proto::wire::PeerId;
use tokio::net::UnixStream;
use tokio::sync::watch;

use crate::outbox::{self, SocketRoom, Terms};
use crate::registry::Seat;

/// Why a connection ended.
#[derive(Debug)]
pub(crate) enum Ending {
    /// The client closed it, or its sending half.
    Closed,
    /// The client sent something. The protocol has no message for that, so it is no ivshmem client.
    Spoke,
    /// The connection failed.
    Failed(io::Error),
    /// The server stopped, and everything was sent.
    ServerStopped,
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("closed its connection"),
            Self::Spoke => f.write_str("was disconnected because it sent something, which no ivshmem client does"),
            Self::Failed(error) => write!(f, "lost its connection: {error}"),
            Self::ServerStopped => f.write_str("was told that the server stops"),
        }
    }
}

/// Serves a client until its connection ends. Its end of the stream is watched all the time, so that
/// one that is gone in mid hand-over, or that never reads, is noticed.
pub(crate) async fn serve(
    stream: UnixStream,
    seat: Seat,
    terms: Terms,
    stopping: watch::Receiver<bool>,
) -> (PeerId, Ending) {
    let Seat { id, mut notices } = seat;
    outbox::set_room(&stream, SocketRoom::Least);
    let ending = tokio::select! {
        ending = watch_client(&stream) => ending,
        delivered = outbox::deliver(&stream, &mut notices, &terms) => match delivered {
            Ok(()) => Ending::ServerStopped,
            Err(error) => of(error),
        },
        never = make_room_at_the_end(&stream, stopping) => match never {},
    };
    (id, ending)
}

async fn make_room_at_the_end(stream: &UnixStream, mut stopping: watch::Receiver<bool>) -> Infallible {
    // An error means that the server is gone without stopping, and its tasks with it.
    if stopping.wait_for(|&stopping| stopping).await.is_ok() {
        outbox::set_room(stream, SocketRoom::Most);
    }
    pending().await
}

/// Waits for the client to close the connection, or to say what it must not.
async fn watch_client(stream: &UnixStream) -> Ending {
    loop {
        if let Err(error) = stream.readable().await {
            return of(error);
        }
        match stream.try_read(&mut [0; 64]) {
            Ok(0) => return Ending::Closed,
            Ok(_) => return Ending::Spoke,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return of(error),
        }
    }
}

/// A client that is gone shows itself in several ways, depending on what it left unread.
fn of(error: io::Error) -> Ending {
    match error.kind() {
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => Ending::Closed,
        _ => Ending::Failed(error),
    }
}
