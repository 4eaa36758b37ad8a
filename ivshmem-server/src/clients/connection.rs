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

use super::fd_budget;
use super::outbox::{self, SendFailure};
use crate::registry::ClientView;
use crate::shared::SharedState;

/// Why a connection ended.
#[derive(Debug)]
pub(crate) enum DisconnectReason {
    /// The client closed it, or its sending half.
    Closed,
    /// The client sent something. The protocol has no message for that, so it is no ivshmem client.
    SentData,
    /// The client read nothing for so long, while there was something to read.
    Stalled(Duration),
    /// The connection failed.
    Failed(io::Error),
    /// The server stopped, and everything was sent.
    ServerStopped,
}

impl fmt::Display for DisconnectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("closed its connection"),
            Self::SentData => f.write_str("was disconnected because it sent something, which no ivshmem client does"),
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
pub(crate) struct ClientExit {
    /// What the client was notified of. Its connection is closed: it is sent nothing more.
    pub(crate) view: ClientView,
    pub(crate) reason: DisconnectReason,
    /// How many messages less are under way now.
    pub(crate) room: usize,
}

/// Serves a client until its connection ends. Its end of the stream is watched all the time, so that
/// one that is gone in mid hand-over, or that never reads, is noticed.
pub(crate) async fn serve(
    stream: UnixStream,
    mut view: ClientView,
    room: usize,
    shared: Arc<SharedState>,
    news: watch::Receiver<()>,
    stopping: watch::Receiver<bool>,
) -> ClientExit {
    fd_budget::set_send_buffer(&stream, room);
    let reason = tokio::select! {
        reason = watch_disconnect(&stream) => reason,
        delivered = outbox::deliver(&stream, &mut view, &shared, news) => match delivered {
            Ok(()) => DisconnectReason::ServerStopped,
            Err(SendFailure::Stalled(deadline)) => DisconnectReason::Stalled(deadline),
            Err(SendFailure::Failed(SendError::Socket(error))) => of(error),
            Err(SendFailure::Failed(_)) => DisconnectReason::Closed,
        },
        never = enlarge_buffer_on_shutdown(&stream, stopping) => match never {},
    };
    let room = if fd_budget::is_fully_closed(&stream) { room } else { 0 };
    ClientExit { view, reason, room }
}

async fn enlarge_buffer_on_shutdown(stream: &UnixStream, mut stopping: watch::Receiver<bool>) -> Infallible {
    // An error means that the server is gone without stopping, and its tasks with it.
    if stopping.wait_for(|&stopping| stopping).await.is_ok() {
        fd_budget::maximize_send_buffer(stream);
    }
    pending().await
}

/// Waits for the client to close the connection, or to say what it must not.
async fn watch_disconnect(stream: &UnixStream) -> DisconnectReason {
    loop {
        if let Err(error) = stream.readable().await {
            return of(error);
        }
        // Whatever descriptors come with the bytes, the kernel drops.
        match stream.try_read(&mut [0; 64]) {
            Ok(0) => return DisconnectReason::Closed,
            Ok(_) => return DisconnectReason::SentData,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return of(error),
        }
    }
}

/// A client that is gone shows itself in several ways, depending on what it left unread.
fn of(error: io::Error) -> DisconnectReason {
    match error.kind() {
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => DisconnectReason::Closed,
        _ => DisconnectReason::Failed(error),
    }
}
