//! Errors of a client, with hints.

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

/// Longest path in `sockaddr_un` ([unix(7)](https://man7.org/linux/man-pages/man7/unix.7.html)) with a terminating
/// zero, which QEMU and ivshmem-server need.
pub(super) const MAX_PATH_BYTES: usize = 107;

/// Why an operation of a client failed.
#[derive(Debug, Error)]
pub enum ClientError {
    /// The path does not exist.
    #[error("no socket at {path}. Hint: start a server with `ivshmem-server -S {path}`", path = .0.display())]
    NoSocket(PathBuf),
    /// No process listens at the socket.
    #[error("no server listens at {path}. Hint: start a server with `ivshmem-server -S {path}`", path = .0.display())]
    NotListening(PathBuf),
    /// The path is not a socket.
    #[error("{} is not a socket. Hint: use the socket of a server, or remove the file and start a server there", .0.display())]
    NotASocket(PathBuf),
    /// The path is longer than the address of a Unix socket can be.
    #[error(
        "the socket path has {} bytes, a Unix socket allows at most {MAX_PATH_BYTES}. Hint: use a shorter path, such as a \
         symbolic link to its directory",
        .0.as_os_str().len()
    )]
    PathTooLong(PathBuf),
    /// The path is a server's status socket, where clients cannot join.
    #[error("{} is a status socket, where clients cannot join. Hint: use the path of the server's --socket", .0.display())]
    StatusSocket(PathBuf),
    /// The socket cannot be used.
    #[error("cannot connect to {}. Hint: use the socket of a server that this user can open", path.display())]
    Connect {
        /// The socket's path.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The server accepted the connection but did not complete the handshake in time.
    #[error(
        "the server at {} did not complete the handshake within {waited:.1?}. Hint: check that an ivshmem server listens there \
         and is not stopped, or allow more time",
        path.display()
    )]
    HandshakeTimeout {
        /// The socket's path.
        path: PathBuf,
        /// The timeout.
        waited: Duration,
    },
    /// The server refused the client.
    #[error("the server at {} refused this client. Hint: its log has the reason", .0.display())]
    Refused(PathBuf),
    /// The server closed the connection.
    #[error("the server at {} closed the connection. Hint: its log has the reason", .0.display())]
    ServerGone(PathBuf),
    /// The server sent data that is not a sequence of messages.
    #[error("cannot decode the messages of the server at {}", path.display())]
    Receive {
        /// The socket's path.
        path: PathBuf,
        /// The cause.
        source: ReceiveError,
    },
    /// The server sent more descriptors with a message than the client accepts, although this process can open more
    /// files.
    #[error(
        "the server at {path} sent a message with many descriptors; each may carry only one. Hint: it is not an ivshmem server, \
         or check it with `host-peer -S {path} check`",
        path = .0.display()
    )]
    SurplusDescriptors(PathBuf),
    /// The server sent an invalid message.
    #[error("the server at {} broke the protocol", path.display())]
    Protocol {
        /// The socket's path.
        path: PathBuf,
        /// The violation.
        source: SessionError,
    },
    /// The server sent fewer vectors of the client than needed.
    #[error(
        "the server at {} sent {received} of {}. Hint: {}",
        path.display(), plural(*wanted, "vector"), too_few_hint(*asked, *wanted)
    )]
    TooFewVectors {
        /// The socket's path.
        path: PathBuf,
        /// Vectors that the client needs.
        wanted: usize,
        /// Vectors received.
        received: usize,
        /// Whether the caller requested this number. Otherwise it is the number of the other peers, or one.
        asked: bool,
    },
    /// The server stopped, or continued with another peer, before the last vector of a peer.
    #[error(
        "the server at {path} sent {received} of {of_all} of peer {peer}; the vectors cannot be identified. Hint: join again \
         (QEMU's example server loses messages to a slow client), or check the server with `host-peer -S {path} check`",
        path = path.display(),
        of_all = plural(*each, "vector")
    )]
    MissingVectors {
        /// The socket's path.
        path: PathBuf,
        /// The peer.
        peer: PeerId,
        /// Vectors received.
        received: usize,
        /// Vectors per peer.
        each: usize,
    },
    /// The server sent more vectors of a peer than the other peers have.
    #[error(
        "the server at {path} sent more than {of_all} of peer {peer}; other peers have {each}. Hint: check the server with \
         `host-peer -S {path} check`",
        path = path.display(),
        of_all = plural(*each, "vector")
    )]
    SurplusVector {
        /// The socket's path.
        path: PathBuf,
        /// The peer, possibly this client.
        peer: PeerId,
        /// Vectors per peer.
        each: usize,
    },
    /// The server sent more vectors of a peer than the client accepts.
    #[error(
        "the server at {} sent more than {MAX_VECTORS} vectors of peer {peer}, the limit. Hint: start it with fewer, such as \
         `ivshmem-server -n 1`",
        path.display()
    )]
    TooManyVectors {
        /// The socket's path.
        path: PathBuf,
        /// The peer, possibly this client.
        peer: PeerId,
    },
    /// The size of the shared memory cannot be read.
    #[error("cannot read the size of the shared memory")]
    MemorySize(#[source] io::Error),
    /// The shared memory is empty.
    #[error("the shared memory is empty. Hint: the server must set its size before it sends it")]
    EmptyMemory,
    /// The memory object cannot be mapped.
    #[error("the server sent {0} as the shared memory; a memfd, a file or a shared memory object is needed")]
    NotAMemoryObject(&'static str),
    /// QEMU cannot make a PCI BAR of this size.
    #[error("the shared memory has {}; a power of two of at least one page ({page}) is needed", plural(*size, "byte"))]
    InvalidMemorySize {
        /// Its size in bytes.
        size: u64,
        /// Page size in bytes.
        page: u64,
    },
    /// The shared memory is not sealed, and mapping it is unsafe.
    #[error(
        "the shared memory is not sealed against shrinking: a process that shrinks it kills every process that has it mapped \
         (SIGBUS). Hint: let the server use a sealed memfd (`ivshmem-server` without --shm-name and --shm-dir), or call \
         `read_at` and `write_at`, or `map_unsealed`"
    )]
    MemoryNotSealed,
    /// Another process shrank the shared memory.
    #[error(
        "another process shrank the shared memory from {size} to {now} bytes after this client joined. Hint: restart the server \
         with a sealed memfd"
    )]
    MemoryShrank {
        /// Bytes at the time of joining.
        size: u64,
        /// Bytes now.
        now: u64,
    },
    /// An access exceeds the shared memory.
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
    /// Reading or writing the shared memory through its descriptor failed.
    #[error("cannot access the shared memory at offset {offset:#x}")]
    MemoryAccess {
        /// Where the access starts.
        offset: u64,
        /// The cause.
        source: io::Error,
    },
    /// The shared memory cannot be mapped.
    #[error("cannot map the shared memory")]
    Map(#[from] RegionError),
    /// A received doorbell is not an eventfd.
    #[error(
        "the server sent a {kind} as vector {vector} of peer {peer}; an eventfd is needed. Hint: it is not an ivshmem server, or \
         swaps descriptors"
    )]
    NotAnEventfd {
        /// Owner of the doorbell.
        peer: PeerId,
        /// The vector.
        vector: Vector,
        /// The kind that the kernel reports.
        kind: String,
    },
    /// A doorbell cannot be made non-blocking.
    #[error("cannot make vector {vector} of peer {peer} non-blocking")]
    DoorbellFlags {
        /// Owner of the doorbell.
        peer: PeerId,
        /// The vector.
        vector: Vector,
        /// The cause.
        source: io::Error,
    },
    /// The handshake did not end before the deadline.
    #[error(
        "the server at {} was still sending peers after {waited:.1?}. Hint: allow more time if it has many peers",
        path.display()
    )]
    HandshakeTooLong {
        /// The socket's path.
        path: PathBuf,
        /// The timeout.
        waited: Duration,
    },
    /// Waiting for doorbells and the server failed.
    #[error("cannot wait for doorbells and the server")]
    Poll(#[source] io::Error),
    /// The peer is not connected.
    #[error("peer {peer} is not connected; connected: {present}")]
    UnknownPeer {
        /// The requested peer.
        peer: PeerId,
        /// The connected peers, as text.
        present: String,
    },
    /// The peer or this client does not have this vector.
    #[error("peer {peer} does not have vector {vector}; it has {count}, counted from 0")]
    UnknownVector {
        /// Owner of the vector.
        peer: PeerId,
        /// The vector.
        vector: Vector,
        /// Number of its vectors.
        count: usize,
    },
    /// Ringing a doorbell failed.
    #[error("cannot ring vector {vector} of peer {peer}")]
    Ring {
        /// Owner of the doorbell.
        peer: PeerId,
        /// The vector.
        vector: Vector,
        /// The cause.
        source: io::Error,
    },
    /// Waiting for a doorbell failed.
    #[error("cannot wait for vector {vector}")]
    Wait {
        /// The vector.
        vector: Vector,
        /// The cause.
        source: io::Error,
    },
}

impl ClientError {
    pub(super) fn unknown_peer<'a>(peer: PeerId, present: impl Iterator<Item = &'a PeerId>) -> Self {
        let ids: Vec<String> = present.map(PeerId::to_string).collect();
        let present = if ids.is_empty() { "none".into() } else { ids.join(", ") };
        Self::UnknownPeer { peer, present }
    }
}

fn too_few_hint(asked: bool, wanted: usize) -> String {
    if asked {
        format!("start it with `ivshmem-server -n {wanted}`, or ask for fewer")
    } else {
        "every peer must get the same number, at least one; join again, or check it with `host-peer check`".into()
    }
}
