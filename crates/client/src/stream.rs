//! Client events as a stream for tokio. Behind the feature `tokio`: the measured initiator must not link it.
#![expect(unsafe_code, reason = "AsyncFd requires that the descriptor stays open")]

use std::future::poll_fn;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_core::Stream;
use rustix::event::epoll;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::{Client, ClientError, ClientEvent, JoinOptions, PeerChange};

/// A joined client whose events arrive as a [`Stream`].
///
/// Ends after the first error; [`into_client`](Self::into_client) returns the client, which can still ring.
///
/// ```no_run
/// use client::stream::EventStream;
/// use client::{ClientEvent, JoinOptions};
///
/// # async fn example() -> Result<(), client::ClientError> {
/// let mut events = EventStream::join(JoinOptions::at("/tmp/ivshmem_socket")).await?;
/// while let Some(event) = events.next().await {
///     if let ClientEvent::Rung { vector, rings } = event? {
///         println!("vector {vector} was rung {rings} times");
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct EventStream {
    client: Client,
    /// Readable if the server's connection or a doorbell of the client is.
    ready: AsyncFd<OwnedFd>,
    watched_vectors: usize,
    ended: bool,
}

impl EventStream {
    /// Joins a server without blocking the runtime.
    pub async fn join(options: JoinOptions) -> Result<Self, ClientError> {
        let joined = tokio::task::spawn_blocking(move || Client::join(&options)).await;
        let client = joined.map_err(|error| ClientError::Poll(io::Error::other(error)))??;
        Self::from_client(client)
    }

    /// Wraps a joined client. Call it within a tokio runtime.
    pub fn from_client(client: Client) -> Result<Self, ClientError> {
        let set = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(|errno| ClientError::Poll(errno.into()))?;
        watch(&set, client.server_fd())?;
        // SAFETY: an `OwnedFd` is open, and the same descriptor, until it is dropped; the `AsyncFd` owns it.
        let ready = unsafe { AsyncFd::register_with_interest(set, Interest::READABLE) };
        let ready = ready.map_err(|error| ClientError::Poll(error.into()))?;
        let mut events = Self { client, ready, watched_vectors: 0, ended: false };
        events.watch_new_vectors()?;
        Ok(events)
    }

    /// The next event; `None` after an error.
    pub async fn next(&mut self) -> Option<Result<ClientEvent, ClientError>> {
        poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }

    /// The client, for example to ring.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The client, for use without tokio.
    #[must_use]
    pub fn into_client(self) -> Client {
        self.client
    }

    fn watch_new_vectors(&mut self) -> Result<(), ClientError> {
        for fd in &self.client.own_vectors()[self.watched_vectors..] {
            watch(self.ready.get_ref(), fd.as_fd())?;
        }
        self.watched_vectors = self.client.own_vectors().len();
        Ok(())
    }

    fn next_ready(&mut self) -> Result<Option<ClientEvent>, ClientError> {
        let event = self.client.next(Some(Duration::ZERO))?;
        if let Some(ClientEvent::Peer(PeerChange::VectorAdded { .. })) = event {
            self.watch_new_vectors()?;
        }
        Ok(event)
    }
}

impl Stream for EventStream {
    type Item = Result<ClientEvent, ClientError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        loop {
            match self.next_ready() {
                Ok(Some(event)) => return Poll::Ready(Some(Ok(event))),
                Ok(None) => {}
                Err(error) => {
                    self.ended = true;
                    return Poll::Ready(Some(Err(error)));
                }
            }
            // Cleared before the next check: an event in between is found by one of the two.
            match ready!(self.ready.poll_read_ready(context)) {
                Ok(mut guard) => guard.clear_ready(),
                Err(error) => {
                    self.ended = true;
                    return Poll::Ready(Some(Err(ClientError::Poll(error))));
                }
            }
        }
    }
}

/// See [epoll_ctl(2)](https://man7.org/linux/man-pages/man2/epoll_ctl.2.html).
fn watch(set: impl AsFd, fd: impl AsFd) -> Result<(), ClientError> {
    let added = epoll::add(set, fd, epoll::EventData::new_u64(0), epoll::EventFlags::IN);
    added.map_err(|errno| ClientError::Poll(errno.into()))
}
