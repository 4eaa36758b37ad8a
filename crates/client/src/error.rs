//! Errors of a client, with hints.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use doorbell::region::RegionError;
use proto::connect::ConnectError;
use proto::fd_passing::ReceiveError;
use proto::session::SessionError;
use proto::wire::{PeerId, Vector};
use thiserror::Error;

use crate::plural::plural;

/// Upper limit of vectors per peer. More are useless (QEMU without ioeventfd decodes eight bits), and a server must not
/// exhaust the descriptors of a client.
pub(super) const MAX_VECTORS: usize = 256;

/// Why an operation of a client failed.
#[derive(Debug, Error)]
#[expect(missing_docs, reason = "the texts describe the errors")]
pub enum ClientError {
    #[error(transparent)]
    Connect(ConnectError),
    #[error("{} is a status socket, where clients cannot join. Hint: use the path of the server's --socket", .0.display())]
    StatusSocket(PathBuf),
    #[error(
        "the server at {} did not complete the handshake within {waited:.1?}. Hint: check that an ivshmem server listens there \
         and is not stopped, or allow more time",
        path.display()
    )]
    HandshakeTimeout { path: PathBuf, waited: Duration },
    #[error("the server at {} refused this client. Hint: its log has the reason", .0.display())]
    Refused(PathBuf),
    #[error("the server at {} closed the connection. Hint: its log has the reason", .0.display())]
    ServerGone(PathBuf),
    #[error("cannot decode the messages of the server at {}", path.display())]
    Receive { path: PathBuf, source: ReceiveError },
    /// The server sent more descriptors with a message than the client accepts, although this process can open more
    /// files.
    #[error(
        "the server at {path} sent a message with many descriptors; each may carry only one. Hint: it is not an ivshmem server, \
         or check it with `host-peer -S {path} check`",
        path = .0.display()
    )]
    SurplusDescriptors(PathBuf),
    #[error("the server at {} broke the protocol", path.display())]
    Protocol { path: PathBuf, source: SessionError },
    #[error(
        "the server at {} sent {received} of {}. Hint: {}",
        path.display(), plural(*wanted, "vector"), too_few_hint(*asked, *wanted)
    )]
    TooFewVectors {
        path: PathBuf,
        wanted: usize,
        received: usize,
        /// Whether the caller requested this number. Otherwise it is the number of the other peers, or one.
        asked: bool,
    },
    #[error(
        "the server at {path} sent {received} of {of_all} of peer {peer}; the vectors cannot be identified. Hint: join again \
         (QEMU's example server loses messages to a slow client), or check the server with `host-peer -S {path} check`",
        path = path.display(),
        of_all = plural(*each, "vector")
    )]
    MissingVectors { path: PathBuf, peer: PeerId, received: usize, each: usize },
    #[error(
        "the server at {path} sent more than {of_all} of peer {peer}; other peers have {each}. Hint: check the server with \
         `host-peer -S {path} check`",
        path = path.display(),
        of_all = plural(*each, "vector")
    )]
    SurplusVector { path: PathBuf, peer: PeerId, each: usize },
    #[error(
        "the server at {} sent more than {MAX_VECTORS} vectors of peer {peer}, the limit. Hint: start it with fewer, such as \
         `ivshmem-server -n 1`",
        path.display()
    )]
    TooManyVectors { path: PathBuf, peer: PeerId },
    #[error("cannot read the size of the shared memory")]
    MemorySize(#[source] io::Error),
    #[error("the shared memory is empty. Hint: the server must set its size before it sends it")]
    EmptyMemory,
    #[error("the server sent {0} as the shared memory; a memfd, a file or a shared memory object is needed")]
    NotAMemoryObject(&'static str),
    /// QEMU cannot make a PCI BAR of this size.
    #[error("the shared memory has {}; a power of two of at least one page ({page}) is needed", plural(*size, "byte"))]
    InvalidMemorySize { size: u64, page: u64 },
    #[error(
        "the shared memory is not sealed against shrinking: a process that shrinks it kills every process that has it mapped \
         (SIGBUS). Hint: let the server use a sealed memfd (`ivshmem-server` without --shm-name and --shm-dir), or call \
         `read_at` and `write_at`, or `map_unsealed`"
    )]
    MemoryNotSealed,
    #[error(
        "another process shrank the shared memory from {size} to {now} bytes after this client joined. Hint: restart the server \
         with a sealed memfd"
    )]
    MemoryShrank { size: u64, now: u64 },
    #[error(
        "{} at offset {offset:#x} {} the shared memory of {size} bytes",
        plural(*len, "byte"), if *len == 1 { "leaves" } else { "leave" }
    )]
    OutOfRange { offset: u64, len: usize, size: u64 },
    #[error("cannot access the shared memory at offset {offset:#x}")]
    MemoryAccess { offset: u64, source: io::Error },
    #[error("cannot map the shared memory")]
    Map(#[from] RegionError),
    #[error(
        "the server sent a {kind} as vector {vector} of peer {peer}; an eventfd is needed. Hint: it is not an ivshmem server, or \
         swaps descriptors"
    )]
    NotAnEventfd { peer: PeerId, vector: Vector, kind: String },
    #[error("cannot make vector {vector} of peer {peer} non-blocking")]
    DoorbellFlags { peer: PeerId, vector: Vector, source: io::Error },
    #[error(
        "the server at {} was still sending peers after {waited:.1?}. Hint: allow more time if it has many peers",
        path.display()
    )]
    HandshakeTooLong { path: PathBuf, waited: Duration },
    #[error("cannot wait for doorbells and the server")]
    Poll(#[source] io::Error),
    #[error("peer {peer} is not connected; connected: {present}")]
    UnknownPeer { peer: PeerId, present: String },
    #[error("peer {peer} does not have vector {vector}; it has {count}, counted from 0")]
    UnknownVector { peer: PeerId, vector: Vector, count: usize },
    #[error("cannot ring vector {vector} of peer {peer}")]
    Ring { peer: PeerId, vector: Vector, source: io::Error },
    #[error("cannot wait for vector {vector}")]
    Wait { vector: Vector, source: io::Error },
}

impl From<ConnectError> for ClientError {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::NotAccepted { path, waited } => Self::HandshakeTimeout { path, waited },
            error => Self::Connect(error),
        }
    }
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
