//! What can go wrong between a client and its server.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use doorbell::region::RegionError;
use proto::fd_passing::ReceiveError;
use proto::session::SessionError;
use proto::wire::{PeerId, Vector};
use thiserror::Error;

use super::vector_count::MAX_VECTORS;
use crate::plural::plural;

/// What fits into `sockaddr_un` ([unix(7)](https://man7.org/linux/man-pages/man7/unix.7.html)) with a zero at its end, which
/// QEMU and this project's server need.
pub(super) const MAX_PATH_BYTES: usize = 107;

/// Why something was not done.
#[derive(Debug, Error)]
pub enum ClientError {
    /// There is no socket at the path.
    #[error("there is no socket at {path}: start a server with `ivshmem-server -S {path}`", path = .0.display())]
    NoSocket(PathBuf),
    /// Nobody listens at the socket.
    #[error("nobody answers at {path}: start a server with `ivshmem-server -S {path}`", path = .0.display())]
    NotListening(PathBuf),
    /// What is at the path can have no listener.
    #[error("{} is no socket: give the path of a server's, or remove it and start a server there", .0.display())]
    NotASocket(PathBuf),
    /// The path is longer than the address of a Unix socket can be.
    #[error(
        "the socket's path has {} bytes, and a Unix socket's at most {MAX_PATH_BYTES}: use a shorter path, such as a \
         symbolic link to its folder",
        .0.as_os_str().len()
    )]
    PathTooLong(PathBuf),
    /// The path is a server's status socket, where clients cannot join.
    #[error("{} is a status socket: it reports the state of a server, and clients join at the server's --socket", .0.display())]
    StatusSocket(PathBuf),
    /// The socket cannot be used.
    #[error("cannot connect to {}: a server's socket that this user may open is needed", path.display())]
    Connect {
        /// The socket's path.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The server took the connection and then said too little.
    #[error(
        "the server at {} did not finish the greeting within {waited:.1?}: \
         see whether an ivshmem server listens there and is not stopped, or allow more time",
        path.display()
    )]
    HandshakeTimeout {
        /// The socket's path.
        path: PathBuf,
        /// How long the client waited.
        waited: Duration,
    },
    /// The server has no place for another client.
    #[error("the server at {} refused this client: its log says why", .0.display())]
    Refused(PathBuf),
    /// The server closed the connection.
    #[error("the server at {} closed the connection: its log says why", .0.display())]
    ServerGone(PathBuf),
    /// The server sent what cannot be received as messages.
    #[error("cannot understand the server at {}", path.display())]
    Receive {
        /// The socket's path.
        path: PathBuf,
        /// Why not.
        source: ReceiveError,
    },
    /// The server sent more descriptors with a message than are taken in, although there is room for them.
    #[error(
        "the server at {path} sent a message with a heap of descriptors, where each may carry only one: \
         it is no ivshmem server, or judge it with `host-peer -S {path} check`",
        path = .0.display()
    )]
    SurplusDescriptors(PathBuf),
    /// The server sent a message that it must not send.
    #[error("the server at {} broke the protocol", path.display())]
    Protocol {
        /// The socket's path.
        path: PathBuf,
        /// How.
        source: SessionError,
    },
    /// The server gave the client fewer vectors of its own than needed.
    #[error(
        "the server at {} gave {received} of {}: {}",
        path.display(), plural(*wanted, "vector"), too_few_hint(*asked, *wanted)
    )]
    TooFewVectors {
        /// The socket's path.
        path: PathBuf,
        /// How many the client needs.
        wanted: usize,
        /// How many came.
        received: usize,
        /// Whether the client was told to need so many; if not, it is what the other peers have, or the one that
        /// everybody has.
        asked: bool,
    },
    /// The server stopped, or went on to somebody else, where vectors of a peer were still to come.
    #[error(
        "the server at {path} gave {received} of {of_all} of peer {peer}, so that it is not known which is which: \
         join again (QEMU's example server loses messages to a client that reads too slowly), or judge the server with \
         `host-peer -S {path} check`",
        path = path.display(),
        of_all = plural(*each, "vector")
    )]
    MissingVectors {
        /// The socket's path.
        path: PathBuf,
        /// Whose vectors.
        peer: PeerId,
        /// How many came.
        received: usize,
        /// How many every peer has.
        each: usize,
    },
    /// The server gave one more vector of a peer than everybody has.
    #[error(
        "the server at {path} gave more than {of_all} of peer {peer}, where others have {each}: \
         judge the server with `host-peer -S {path} check`",
        path = path.display(),
        of_all = plural(*each, "vector")
    )]
    SurplusVector {
        /// The socket's path.
        path: PathBuf,
        /// Whose vectors, possibly the client's own.
        peer: PeerId,
        /// How many every peer has.
        each: usize,
    },
    /// The server gave more vectors of a peer than there can be.
    #[error(
        "the server at {} gave more than {MAX_VECTORS} vectors of peer {peer}, the most that are of use: \
         start one with fewer, such as `ivshmem-server -n 1`",
        path.display()
    )]
    TooManyVectors {
        /// The socket's path.
        path: PathBuf,
        /// Whose vectors, possibly the client's own.
        peer: PeerId,
    },
    /// The size of the shared memory cannot be read.
    #[error("cannot read the size of the shared memory")]
    MemorySize(#[source] io::Error),
    /// The shared memory has no size.
    #[error("the shared memory is empty: the server must size it before it hands it out")]
    EmptyMemory,
    /// What came as the shared memory is nothing that can be mapped.
    #[error("the server gave {0} as the shared memory: a memfd, a file or a shared memory object is needed")]
    NotAMemoryObject(&'static str),
    /// The shared memory's size is one that QEMU cannot make a PCI BAR of.
    #[error("the shared memory has {}: a power of two, at least a page of {page}, is needed", plural(*size, "byte"))]
    InvalidMemorySize {
        /// Its size in bytes.
        size: u64,
        /// A page's.
        page: u64,
    },
    /// The shared memory is not sealed, so mapping it was refused.
    #[error(
        "the shared memory is not sealed against shrinking, and whoever shrinks it ends all processes that have it \
         mapped (SIGBUS): let the server use a sealed memfd, as `ivshmem-server` does without --shm-name and --shm-dir, \
         or go through `read_at` and `write_at`, or ask for `map_unsealed`"
    )]
    MemoryNotSealed,
    /// Another holder shrank the shared memory.
    #[error(
        "the shared memory had {size} bytes when this client joined, and now has {now}: another holder shrank it; \
         restart the server, and let it use a sealed memfd"
    )]
    MemoryShrank {
        /// Bytes it had.
        size: u64,
        /// Bytes it has.
        now: u64,
    },
    /// An access would leave the shared memory.
    #[error(
        "{} at offset {offset:#x} {} the shared memory of {size} bytes",
        plural(*len, "byte"), if *len == 1 { "leaves" } else { "leave" }
    )]
    OutOfRange {
        /// Where the access starts.
        offset: u64,
        /// Its length in bytes.
        len: usize,
        /// The memory's size in bytes.
        size: u64,
    },
    /// The shared memory cannot be read or written through its descriptor.
    #[error("cannot reach the shared memory at offset {offset:#x}")]
    MemoryAccess {
        /// Where the access starts.
        offset: u64,
        /// Why not.
        source: io::Error,
    },
    /// The shared memory cannot be mapped.
    #[error("cannot use the shared memory as mapped")]
    Map(#[from] RegionError),
    /// What came as a doorbell is none.
    #[error(
        "the server gave a {kind} as vector {vector} of peer {peer}, where an eventfd is needed: \
         it is no ivshmem server, or mixes its descriptors up"
    )]
    NotAnEventfd {
        /// Whose doorbell.
        peer: PeerId,
        /// Which one.
        vector: Vector,
        /// What it is, in the kernel's words.
        kind: String,
    },
    /// A doorbell cannot be made non-blocking.
    #[error("cannot make vector {vector} of peer {peer} non-blocking")]
    DoorbellFlags {
        /// Whose doorbell.
        peer: PeerId,
        /// Which one.
        vector: Vector,
        /// Why not.
        source: io::Error,
    },
    /// The hand-over goes on and on.
    #[error(
        "the server at {} was still sending peers after {waited:.1?}: allow more time, if it has so many",
        path.display()
    )]
    HandshakeTooLong {
        /// The socket's path.
        path: PathBuf,
        /// How long the client listened.
        waited: Duration,
    },
    /// Doorbells and the server cannot be waited for together.
    #[error("cannot wait for doorbells and for the server")]
    Poll(#[source] io::Error),
    /// No such peer is there.
    #[error("there is no peer {peer}; present: {present}")]
    UnknownPeer {
        /// Who was to be rung.
        peer: PeerId,
        /// Who is there, for people.
        present: String,
    },
    /// A peer, or this client, has not so many vectors.
    #[error("peer {peer} has no vector {vector}: it has {count}, counted from 0")]
    UnknownVector {
        /// Whose vector.
        peer: PeerId,
        /// Which one.
        vector: Vector,
        /// How many it has.
        count: usize,
    },
    /// A doorbell cannot be rung.
    #[error("cannot ring vector {vector} of peer {peer}")]
    Ring {
        /// Whose doorbell.
        peer: PeerId,
        /// Which one.
        vector: Vector,
        /// Why not.
        source: io::Error,
    },
    /// A doorbell cannot be waited at.
    #[error("cannot wait at vector {vector}")]
    Wait {
        /// Which one.
        vector: Vector,
        /// Why not.
        source: io::Error,
    },
}

impl ClientError {
    pub(super) fn unknown_peer<'a>(peer: PeerId, present: impl Iterator<Item = &'a PeerId>) -> Self {
        let ids: Vec<String> = present.map(PeerId::to_string).collect();
        let present = if ids.is_empty() { "nobody".into() } else { ids.join(", ") };
        Self::UnknownPeer { peer, present }
    }
}

fn too_few_hint(asked: bool, wanted: usize) -> String {
    if asked {
        format!("start it with `ivshmem-server -n {wanted}`, or ask for fewer")
    } else {
        "it must give every peer as many, and at least one; join again, or judge it with `host-peer check`".into()
    }
}
