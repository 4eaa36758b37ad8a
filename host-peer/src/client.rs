//! A host peer's membership: join a server, see who comes and goes, ring their doorbells, wait at
//! one's own. Synchronous, with deadlines; what it holds is closed when it is dropped.
//!
//! It neither maps the memory nor measures: whoever does takes the descriptors from here.

mod connection;
mod deadline;
mod doorbell;
mod error;

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use proto::session::Event;
use proto::wire::{PeerId, Vector};
use rustix::fs::fstat;

pub use error::ClientError;

use connection::Connection;

/// How long the line must be quiet until an alone client's own vectors are taken to be complete. The
/// protocol does not say how many there are, and a server sends them back to back.
const QUIET: Duration = Duration::from_millis(50);

/// How to join.
#[derive(Debug, Clone)]
pub struct JoinOptions {
    /// Where the server listens.
    pub socket: PathBuf,
    /// How many vectors of its own the client needs. Without it, as many as the other peers have;
    /// where there is none, what comes until the line is quiet.
    pub vectors: Option<u16>,
    /// How long the whole hand-over may take.
    pub timeout: Duration,
}

/// A change among the peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Membership {
    /// A peer came. Its vector 0 can be rung.
    Joined {
        /// Who came.
        peer: PeerId,
    },
    /// One more vector of a peer, or of this client, is known.
    VectorAdded {
        /// Whose vector.
        peer: PeerId,
        /// Its index, 1 or more for a peer.
        vector: Vector,
    },
    /// A peer left, and its vectors are closed.
    Left {
        /// Who left.
        peer: PeerId,
    },
}

/// A peer of an ivshmem server.
///
/// ```no_run
/// use std::time::Duration;
/// use host_peer::client::{Client, JoinOptions};
/// use proto::wire::Vector;
///
/// let client = Client::join(&JoinOptions {
///     socket: "/tmp/ivshmem_socket".into(),
///     vectors: None,
///     timeout: Duration::from_secs(5),
/// })?;
/// for &peer in client.peers().keys() {
///     client.ring(peer, Vector(0))?;
/// }
/// let rings = client.wait(Vector(0), Some(Duration::from_secs(1)))?;
/// println!("peer {} was rung {rings:?} times", client.id());
/// # Ok::<(), host_peer::client::ClientError>(())
/// ```
#[derive(Debug)]
pub struct Client {
    connection: Connection,
    id: PeerId,
    memory: OwnedFd,
    memory_size: u64,
    own_vectors: Vec<OwnedFd>,
    peers: BTreeMap<PeerId, Vec<OwnedFd>>,
    /// An error that came after changes which had to be reported first.
    pending: Option<ClientError>,
}

impl Client {
    /// Joins a server, and waits until all peers that are there and the client's own vectors are
    /// known.
    pub fn join(options: &JoinOptions) -> Result<Self, ClientError> {
        let deadline = deadline::after(options.timeout);
        let mut connection = Connection::open(&options.socket, deadline)?;
        let (id, memory) = connection.greeting(deadline)?;
        let memory_size = size_of(&memory)?;
        let mut client = Self {
            connection,
            id,
            memory,
            memory_size,
            own_vectors: Vec::new(),
            peers: BTreeMap::new(),
            pending: None,
        };
        client.gather_vectors(options.vectors, deadline)?;
        Ok(client)
    }

    fn gather_vectors(&mut self, wanted: Option<u16>, deadline: Instant) -> Result<(), ClientError> {
        while !self.has_all_vectors(wanted) {
            let may_be_complete = wanted.is_none() && !self.own_vectors.is_empty();
            let until = if may_be_complete { deadline.min(Instant::now() + QUIET) } else { deadline };
            match self.connection.event(until)? {
                Some(event) => _ = self.apply(event),
                None if may_be_complete => break,
                None => {
                    return Err(ClientError::TooFewVectors {
                        path: self.connection.path().into(),
                        wanted: wanted.unwrap_or(1),
                        received: self.own_vectors.len(),
                    });
                }
            }
        }
        Ok(())
    }

    fn has_all_vectors(&self, wanted: Option<u16>) -> bool {
        let of_others = self.peers.values().map(Vec::len).max();
        match wanted.map(usize::from).or(of_others) {
            Some(count) => self.own_vectors.len() >= count,
            None => false,
        }
    }

    /// This client's own id.
    #[must_use]
    pub fn id(&self) -> PeerId {
        self.id
    }

    /// The shared memory, to be mapped.
    #[must_use]
    pub fn memory(&self) -> BorrowedFd<'_> {
        self.memory.as_fd()
    }

    /// The shared memory's size in bytes.
    #[must_use]
    pub fn memory_size(&self) -> u64 {
        self.memory_size
    }

    /// The eventfds at which this client waits, by vector. Non-blocking, or soon to be: QEMU makes
    /// them so for all holders.
    #[must_use]
    pub fn own_vectors(&self) -> &[OwnedFd] {
        &self.own_vectors
    }

    /// The eventfds of the others, by peer and vector.
    #[must_use]
    pub fn peers(&self) -> &BTreeMap<PeerId, Vec<OwnedFd>> {
        &self.peers
    }

    /// The connection to the server, to be polled beside other things. Readable means that
    /// [`pump`](Self::pump) has something to do.
    #[must_use]
    pub fn server_fd(&self) -> BorrowedFd<'_> {
        self.connection.as_fd()
    }

    /// Waits for the server to say something, and takes in all that it has said by then. Empty when it
    /// said nothing. A server that is gone, or that breaks the protocol, is an error; what is known of
    /// the peers stays, and they can still be rung.
    pub fn pump(&mut self, timeout: Duration) -> Result<Vec<Membership>, ClientError> {
        if let Some(error) = self.pending.take() {
            return Err(error);
        }
        let mut deadline = deadline::after(timeout);
        let mut changes = Vec::new();
        loop {
            match self.connection.event(deadline) {
                Ok(Some(event)) => {
                    changes.extend(self.apply(event));
                    deadline = Instant::now();
                }
                Ok(None) => return Ok(changes),
                Err(error) if changes.is_empty() => return Err(error),
                Err(error) => {
                    self.pending = Some(error);
                    return Ok(changes);
                }
            }
        }
    }

    fn apply(&mut self, event: Event<OwnedFd>) -> Option<Membership> {
        match event {
            // Only at the start, where `greeting` takes them.
            Event::VersionAgreed | Event::Joined(_) | Event::Memory(_) => None,
            Event::OwnVector { vector, fd } => {
                self.own_vectors.push(fd);
                let peer = self.id;
                Some(Membership::VectorAdded { peer, vector })
            }
            Event::PeerVector { peer, vector, fd } => {
                self.peers.entry(peer).or_default().push(fd);
                Some(match vector {
                    Vector(0) => Membership::Joined { peer },
                    _ => Membership::VectorAdded { peer, vector },
                })
            }
            Event::PeerLeft(peer) => {
                self.peers.remove(&peer);
                Some(Membership::Left { peer })
            }
        }
    }

    /// Rings a doorbell of a peer, or one's own. That the peer takes notice is not part of it.
    pub fn ring(&self, peer: PeerId, vector: Vector) -> Result<(), ClientError> {
        let vectors = match self.peers.get(&peer) {
            Some(vectors) => vectors,
            None if peer == self.id => &self.own_vectors,
            None => return Err(ClientError::unknown_peer(peer, self.peers.keys())),
        };
        doorbell::ring(vector_of(peer, vectors, vector)?).map_err(|source| ClientError::Ring { peer, vector, source })
    }

    /// Waits until one's own doorbell was rung, and says how often since the last time. `None` when
    /// the time is over; without a timeout it waits for ever.
    pub fn wait(&self, vector: Vector, timeout: Option<Duration>) -> Result<Option<u64>, ClientError> {
        let fd = vector_of(self.id, &self.own_vectors, vector)?;
        doorbell::wait(fd, timeout.map(deadline::after)).map_err(|source| ClientError::Wait { vector, source })
    }
}

fn vector_of(peer: PeerId, vectors: &[OwnedFd], vector: Vector) -> Result<BorrowedFd<'_>, ClientError> {
    let count = vectors.len();
    let fd = vectors.get(usize::from(vector.0));
    fd.map(AsFd::as_fd).ok_or(ClientError::UnknownVector { peer, vector, count })
}

fn size_of(memory: &OwnedFd) -> Result<u64, ClientError> {
    let stat = fstat(memory).map_err(|errno| ClientError::MemorySize(errno.into()))?;
    match u64::try_from(stat.st_size) {
        Ok(size) if size > 0 => Ok(size),
        _ => Err(ClientError::EmptyMemory),
    }
}
