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
    /// The client sent data. The protocol has no message for that, so it is not an ivshmem client.
    SentData,
    /// The client did not read pending messages for this time.
    Stalled(Duration),
    /// The connection failed.
    Failed(io::Error),
    /// The server stopped, and all messages were sent.
    ServerStopped,
}

impl fmt::Display for DisconnectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("closed its connection"),
            Self::SentData => f.write_str("was disconnected because it sent something, which no ivshmem client does"),
            Self::Stalled(limit) => write!(
                f,
                "was disconnected because it read nothing for {}; is it stopped? (--stall-timeout)",
                humantime::format_duration(*limit)
            ),
            Self::Failed(error) => write!(f, "lost its connection: {error}"),
            Self::ServerStopped => f.write_str("was notified that the server stops"),
        }
    }
}

impl From<io::Error> for DisconnectReason {
    /// The error of a closed connection depends on the messages that the client left unread.
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => Self::Closed,
            _ => Self::Failed(error),
        }
    }
}

/// The result of a client's task.
#[derive(Debug)]
pub(crate) struct ClientExit {
    /// The ids that the client was notified of. Its connection is closed, so no notification follows.
    pub(crate) view: ClientView,
    pub(crate) reason: DisconnectReason,
    /// The part of the send budget that other clients may use, in messages.
    pub(crate) released: usize,
}

/// Serves a client until its connection ends. Watches the receiving direction as well, to detect a client that disconnects
/// during the handshake or never reads.
pub(crate) async fn serve(
    stream: UnixStream,
    mut view: ClientView,
    budget: usize,
    shared: Arc<SharedState>,
    updates: watch::Receiver<()>,
    stopping: watch::Receiver<bool>,
) -> ClientExit {
    fd_budget::set_send_buffer(&stream, budget);
    let reason = tokio::select! {
        reason = watch_disconnect(&stream) => reason,
        delivered = outbox::deliver(&stream, &mut view, &shared, updates) => match delivered {
            Ok(()) => DisconnectReason::ServerStopped,
            Err(SendFailure::Stalled(limit)) => DisconnectReason::Stalled(limit),
            Err(SendFailure::Failed(SendError::Socket(error))) => error.into(),
            Err(SendFailure::Failed(_)) => DisconnectReason::Closed,
        },
        never = enlarge_buffer_on_shutdown(&stream, stopping) => match never {},
    };
    let released = if fd_budget::is_fully_closed(&stream) { budget } else { 0 };
    ClientExit { view, reason, released }
}

async fn enlarge_buffer_on_shutdown(stream: &UnixStream, mut stopping: watch::Receiver<bool>) -> Infallible {
    // An error means that the server was dropped, and its tasks with it.
    if stopping.wait_for(|&stopping| stopping).await.is_ok() {
        fd_budget::maximize_send_buffer(stream);
    }
    pending().await
}

/// Waits until the client closes the connection or sends data.
async fn watch_disconnect(stream: &UnixStream) -> DisconnectReason {
    loop {
        if let Err(error) = stream.readable().await {
            return error.into();
        }
        // The kernel drops descriptors that come with the data.
        match stream.try_read(&mut [0; 64]) {
            Ok(0) => return DisconnectReason::Closed,
            Ok(_) => return DisconnectReason::SentData,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return error.into(),
        }
    }
}
