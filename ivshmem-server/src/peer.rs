//! One client's connection, from its first message to its last.

use std::convert::Infallible;
use std::fmt;
use std::future::pending;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use proto::fd_passing::SendError;
use tokio::net::UnixStream;
use tokio::sync::watch;

use crate::hall::Hall;
use crate::in_flight;
use crate::outbox::{self, Undelivered};
use crate::view::View;

/// Why a connection ended.
#[derive(Debug)]
pub(crate) enum Ending {
    /// The client closed it, or its sending half.
    Closed,
    /// The client sent something. The protocol has no message for that, so it is no ivshmem client.
    Spoke,
    /// The client read nothing for so long, while there was something to read.
    Stalled(Duration),
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
            Self::Stalled(deadline) => write!(
                f,
                "was disconnected because it read nothing for {}; is it stopped? (--stall-timeout)",
                humantime::format_duration(*deadline)
            ),
            Self::Failed(error) => write!(f, "lost its connection: {error}"),
            Self::ServerStopped => f.write_str("was told that the server stops"),
        }
    }
}

/// What a client's task leaves behind.
#[derive(Debug)]
pub(crate) struct Departure {
    /// What the client was notified of. Its connection is closed: it is sent nothing more.
    pub(crate) view: View,
    pub(crate) ending: Ending,
    /// How many messages less are under way now.
    pub(crate) room: usize,
}

/// Serves a client until its connection ends. Its end of the stream is watched all the time, so that
/// one that is gone in mid hand-over, or that never reads, is noticed.
pub(crate) async fn serve(
    stream: UnixStream,
    mut view: View,
    room: usize,
    hall: Arc<Hall>,
    news: watch::Receiver<()>,
    stopping: watch::Receiver<bool>,
) -> Departure {
    in_flight::set_room(&stream, room);
    let ending = tokio::select! {
        ending = watch_client(&stream) => ending,
        delivered = outbox::deliver(&stream, &mut view, &hall, news) => match delivered {
            Ok(()) => Ending::ServerStopped,
            Err(Undelivered::Stalled(deadline)) => Ending::Stalled(deadline),
            Err(Undelivered::Failed(SendError::Socket(error))) => of(error),
            Err(Undelivered::Failed(_)) => Ending::Closed,
        },
        never = make_room_at_the_end(&stream, stopping) => match never {},
    };
    let room = if in_flight::is_gone(&stream) { room } else { 0 };
    Departure { view, ending, room }
}

async fn make_room_at_the_end(stream: &UnixStream, mut stopping: watch::Receiver<bool>) -> Infallible {
    // An error means that the server is gone without stopping, and its tasks with it.
    if stopping.wait_for(|&stopping| stopping).await.is_ok() {
        in_flight::set_most_room(stream);
    }
    pending().await
}

/// Waits for the client to close the connection, or to say what it must not.
async fn watch_client(stream: &UnixStream) -> Ending {
    loop {
        if let Err(error) = stream.readable().await {
            return of(error);
        }
        // Whatever descriptors come with the bytes, the kernel drops.
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
