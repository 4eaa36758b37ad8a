//! An ivshmem peer in a host process: joins a server, maps the shared memory, rings doorbells, waits for them, and
//! follows which peers join and leave. Synchronous, with deadlines; dropping the client closes all of its descriptors.
//!
//! Two clients in one process:
//!
//! ```
//! # use ivshmem_server::{Config, Server};
//! # let folder = tempfile::tempdir()?;
//! # let socket = folder.path().join("socket");
//! # let config = Config { socket: socket.clone(), size: 1 << 20, ..Config::default() };
//! # let server = Server::bind(&config)?;
//! # std::thread::spawn(move || {
//! #     let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
//! #     runtime.block_on(server.run(std::future::pending())).unwrap();
//! # });
//! use std::time::Duration;
//! use client::{Client, JoinOptions, Vector};
//!
//! let here = Client::join(&JoinOptions::at(&socket))?;
//! let there = Client::join(&JoinOptions::at(&socket))?;
//! there.map()?.copy_in(0x1000, b"hello")?;
//! there.ring(here.id(), Vector(0))?;
//! let rings = here.wait(Vector(0), Some(Duration::from_secs(5)))?;
//! let mut greeting = [0; 5];
//! here.map()?.copy_out(0x1000, &mut greeting)?;
//! assert_eq!((rings, &greeting), (Some(1), b"hello"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! `examples/` has more: wait with a deadline, wait for doorbells and peers together, and a stream for tokio (feature
//! `tokio`).
//!
//! The client trusts neither the server nor the other peers. A server that breaks the protocol causes an error, never a
//! hang: every wait has a deadline, the kind of each descriptor is checked before use, and no read or write of a descriptor
//! blocks. A peer that changes the memory object causes an error, never a signal: see [`Client::map`].
//!
//! 1. `connection`: bytes in, events out. `descriptor`: checks received descriptors. `vector_count`: vectors per peer.
//! 2. `memory`: mapping, reading, writing.
//! 3. `eventfd`, `events`: ringing and waiting. `stream` (feature `tokio`): waiting in tokio.
//! 4. [`status`]: the server's status, without joining. [`fd_limit`]: for servers with many peers.

mod connection;
mod error;
mod eventfd;
mod events;
mod memory;
mod options;
mod safe_write;
mod vector_count;
// For `host-peer`, which checks servers with the same tools.
#[doc(hidden)]
pub mod descriptor;
#[doc(hidden)]
pub mod plural;
#[cfg(feature = "tokio")]
pub mod stream;

use std::collections::{BTreeMap, VecDeque};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use proto::session::Event;

pub use error::ClientError;
pub use options::{ClientEvent, JoinOptions, PeerChange};
// So that a program needs no other crate.
pub use proto::connect::{ConnectError, connect};
#[doc(hidden)]
pub use proto::deadline;
pub use proto::wire::{PeerId, Vector};
pub use proto::{fd_limit, status};

use connection::Connection;
use memory::Memory;
use vector_count::VectorCounter;

/// A client without other peers has all of its vectors once the server sends nothing for this long. The protocol does
/// not state the number of vectors, and a server sends them back to back.
const QUIET_PERIOD: Duration = Duration::from_millis(50);

/// Upper limit of changes per call: a server that sends without end must not block its client.
const MAX_CHANGES: usize = 1 << 16;

/// A peer of an ivshmem server.
///
/// ```no_run
/// use std::time::Duration;
/// use client::{Client, JoinOptions, Vector};
///
/// let client = Client::join(&JoinOptions::at("/tmp/ivshmem_socket"))?;
/// client.write_at(0x1000, b"hello")?;
/// for &peer in client.peers().keys() {
///     client.ring(peer, Vector(0))?;
/// }
/// let rings = client.wait(Vector(0), Some(Duration::from_secs(1)))?;
/// println!("peer {} was rung {rings:?} times", client.id());
/// # Ok::<(), client::ClientError>(())
/// ```
#[derive(Debug)]
pub struct Client {
    connection: Connection,
    id: PeerId,
    memory: Memory,
    own_vectors: Vec<OwnedFd>,
    peers: BTreeMap<PeerId, Vec<OwnedFd>>,
    counter: VectorCounter,
    /// Changes that no call has returned yet.
    queued: VecDeque<PeerChange>,
    /// An error to return after the changes that preceded it.
    deferred_error: Option<ClientError>,
    /// The descriptor that the next poll considers first.
    next_polled: usize,
}

impl Client {
    /// Joins a server and waits until all connected peers and the client's own vectors are known.
    pub fn join(options: &JoinOptions) -> Result<Self, ClientError> {
        let deadline = deadline::after(options.timeout);
        let mut connection = Connection::open(&options.socket, deadline)?;
        let (id, memory) = connection.receive_init(deadline)?;
        let mut client = Self {
            connection,
            id,
            memory: Memory::accept(memory)?,
            own_vectors: Vec::new(),
            peers: BTreeMap::new(),
            counter: VectorCounter::new(&options.socket),
            queued: VecDeque::new(),
            deferred_error: None,
            next_polled: 0,
        };
        client.receive_vectors(options, deadline)?;
        Ok(client)
    }

    fn receive_vectors(&mut self, options: &JoinOptions, deadline: Instant) -> Result<(), ClientError> {
        while !self.has_all_vectors(options.vectors) {
            if self.is_handshake_complete() {
                return Err(self.too_few_vectors(options));
            }
            let may_be_complete = options.vectors.is_none() && self.is_alone() && !self.own_vectors.is_empty();
            let until = if may_be_complete { deadline.min(Instant::now() + QUIET_PERIOD) } else { deadline };
            match self.connection.event(until)? {
                Some(_) if Instant::now() >= deadline => {
                    let path = self.connection.path().into();
                    return Err(ClientError::HandshakeTooLong { path, waited: options.timeout });
                }
                Some(event) => _ = self.handle_event(event)?,
                None if may_be_complete => break,
                None => return Err(self.too_few_vectors(options)),
            }
        }
        Ok(())
    }

    fn has_all_vectors(&self, wanted: Option<u16>) -> bool {
        let has_wanted = |wanted| self.own_vectors.len() >= usize::from(wanted);
        match wanted {
            // Without other peers, only the caller knows the number.
            Some(wanted) if self.is_alone() => has_wanted(wanted),
            _ => self.is_handshake_complete() && wanted.is_none_or(has_wanted),
        }
    }

    /// Whether no other peer gives the number of vectors.
    fn is_alone(&self) -> bool {
        self.peers.is_empty() && self.counter.vectors_per_peer().is_none()
    }

    fn is_handshake_complete(&self) -> bool {
        self.counter.vectors_per_peer() == Some(self.own_vectors.len()) && self.counter.unfinished().is_none()
    }

    fn too_few_vectors(&self, options: &JoinOptions) -> ClientError {
        let (path, received) = (self.connection.path().into(), self.own_vectors.len());
        let per_peer = self.counter.vectors_per_peer().or(self.peers.values().map(Vec::len).max()).unwrap_or(1);
        let asked = options.vectors.map(usize::from).filter(|asked| *asked >= per_peer);
        match self.counter.unfinished() {
            // The client's own vectors are complete, another peer's are not.
            Some(error) if received == per_peer => error,
            _ => {
                let wanted = asked.unwrap_or(per_peer);
                ClientError::TooFewVectors { path, wanted, received, asked: asked.is_some() }
            }
        }
    }

    /// The id that the server assigned to this client.
    #[must_use]
    pub fn id(&self) -> PeerId {
        self.id
    }

    /// Eventfds that this client waits on, by vector. Non-blocking.
    #[must_use]
    pub fn own_vectors(&self) -> &[OwnedFd] {
        &self.own_vectors
    }

    /// Eventfds that ring other peers, by peer and vector.
    #[must_use]
    pub fn peers(&self) -> &BTreeMap<PeerId, Vec<OwnedFd>> {
        &self.peers
    }

    /// The eventfds of a peer or of this client, by vector; `None` if the peer is not connected.
    #[must_use]
    pub fn vectors_of(&self, peer: PeerId) -> Option<&[OwnedFd]> {
        match self.peers.get(&peer) {
            None if peer == self.id => Some(&self.own_vectors),
            vectors => vectors.map(Vec::as_slice),
        }
    }

    /// The connection to the server, for the caller's own poll loop. Call [`poll_events`](Self::poll_events) when it is
    /// readable.
    #[must_use]
    pub fn server_fd(&self) -> BorrowedFd<'_> {
        self.connection.as_fd()
    }

    /// Waits for messages of the server and handles all that have arrived. Empty after the timeout. Returns an error if
    /// the server is gone or breaks the protocol; the known peers can still be rung.
    pub fn poll_events(&mut self, timeout: Duration) -> Result<Vec<PeerChange>, ClientError> {
        let mut changes = Vec::from(std::mem::take(&mut self.queued));
        if changes.is_empty()
            && let Some(error) = self.deferred_error.take()
        {
            return Err(error);
        }
        let mut deadline = if changes.is_empty() { deadline::after(timeout) } else { Instant::now() };
        while self.deferred_error.is_none() && changes.len() < MAX_CHANGES {
            let change = match self.connection.event(deadline) {
                Ok(None) => break,
                Ok(Some(event)) => self.handle_event(event),
                Err(error) => Err(error),
            };
            match change {
                Ok(change) => changes.extend(change),
                Err(error) if changes.is_empty() => return Err(error),
                Err(error) => self.deferred_error = Some(error),
            }
            deadline = Instant::now();
        }
        Ok(changes)
    }

    /// Handles a message. After an error the rest of the stream cannot be interpreted.
    fn handle_event(&mut self, event: Event<OwnedFd>) -> Result<Option<PeerChange>, ClientError> {
        let counted = match event {
            Event::VersionAgreed | Event::Joined(_) | Event::Memory(_) => Ok(()),
            Event::OwnVector { vector, .. } => self.counter.add(self.id, vector),
            Event::PeerVector { peer, vector, .. } => self.counter.add(peer, vector),
            Event::PeerLeft(peer) => self.counter.leave(peer),
        };
        counted.and_then(|()| self.apply(event)).inspect_err(|_| self.connection.stop())
    }

    fn apply(&mut self, event: Event<OwnedFd>) -> Result<Option<PeerChange>, ClientError> {
        Ok(match event {
            // Handled by `receive_init` during the handshake.
            Event::VersionAgreed | Event::Joined(_) | Event::Memory(_) => None,
            Event::OwnVector { vector, fd } => {
                let peer = self.id;
                self.own_vectors.push(doorbell_of(peer, vector, fd)?);
                Some(PeerChange::VectorAdded { peer, vector })
            }
            Event::PeerVector { peer, vector, fd } => {
                let fd = doorbell_of(peer, vector, fd)?;
                self.peers.entry(peer).or_default().push(fd);
                Some(match vector {
                    Vector(0) => PeerChange::Joined { peer },
                    _ => PeerChange::VectorAdded { peer, vector },
                })
            }
            Event::PeerLeft(peer) => {
                self.peers.remove(&peer);
                Some(PeerChange::Left { peer })
            }
        })
    }

    /// Rings a doorbell of a peer or of this client. Returns without waiting for the receiver.
    pub fn ring(&self, peer: PeerId, vector: Vector) -> Result<(), ClientError> {
        let vectors = self.vectors_of(peer).ok_or_else(|| ClientError::unknown_peer(peer, self.peers.keys()))?;
        eventfd::ring(vector_of(peer, vectors, vector)?).map_err(|source| ClientError::Ring { peer, vector, source })
    }

    /// Waits for a doorbell of this client and returns the number of rings since the last call. `None` after the
    /// timeout; no timeout: waits without limit.
    pub fn wait(&self, vector: Vector, timeout: Option<Duration>) -> Result<Option<u64>, ClientError> {
        let fd = vector_of(self.id, &self.own_vectors, vector)?;
        eventfd::wait(fd, timeout.map(deadline::after)).map_err(|source| ClientError::Wait { vector, source })
    }
}

fn vector_of(peer: PeerId, vectors: &[OwnedFd], vector: Vector) -> Result<BorrowedFd<'_>, ClientError> {
    let count = vectors.len();
    let fd = vectors.get(usize::from(vector.0));
    fd.map(AsFd::as_fd).ok_or(ClientError::UnknownVector { peer, vector, count })
}

/// Checks that a descriptor is an eventfd and makes it non-blocking.
fn doorbell_of(peer: PeerId, vector: Vector, fd: OwnedFd) -> Result<OwnedFd, ClientError> {
    if let Some(kind) = descriptor::kind_unless_eventfd(&fd) {
        return Err(ClientError::NotAnEventfd { peer, vector, kind });
    }
    descriptor::set_nonblocking(&fd).map_err(|source| ClientError::DoorbellFlags { peer, vector, source })?;
    Ok(fd)
}
