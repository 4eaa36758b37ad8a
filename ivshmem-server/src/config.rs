//! What can be chosen for a server.

use std::path::PathBuf;
use std::time::Duration;

use crate::access::Access;
use crate::memory::Backing;

/// Where QEMU's example server listens, hence where its clients look.
pub const DEFAULT_SOCKET: &str = "/tmp/ivshmem_socket";

/// The default size of the shared memory.
pub const DEFAULT_SIZE: u64 = 64 << 20;

/// The most vectors that are of use: without ioeventfd QEMU looks at eight bits of a vector only.
pub const MAX_VECTORS: u16 = 256;

/// How long a client may read nothing, while there is something to read, before it is disconnected. Long enough for a
/// virtual machine that a busy host starves; a paused one goes on reading.
pub const DEFAULT_STALL_DEADLINE: Duration = Duration::from_secs(60);

/// Everything that [`Server::bind`](crate::Server::bind) needs to know.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the server listens.
    pub socket: PathBuf,
    /// The permissions of the socket's file.
    pub socket_mode: u32,
    /// Who may connect.
    pub access: Access,
    /// Where the status is told.
    pub status_socket: Option<PathBuf>,
    /// How long a client may read nothing while there is something to read.
    pub stall_deadline: Duration,
    /// What the shared memory is made of.
    pub backing: Backing,
    /// The size of the shared memory in bytes. Rounded up to a power of two.
    pub size: u64,
    /// How many vectors each peer has, from 1 to [`MAX_VECTORS`].
    pub vectors: u16,
    /// The most peers at a time; without it, as many as there are descriptors for.
    pub max_peers: Option<usize>,
    /// Where to write the process id.
    pub pid_file: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            socket: DEFAULT_SOCKET.into(),
            socket_mode: 0o600,
            access: Access::default(),
            status_socket: None,
            stall_deadline: DEFAULT_STALL_DEADLINE,
            backing: Backing::Memfd,
            size: DEFAULT_SIZE,
            vectors: 1,
            max_peers: None,
            pid_file: None,
        }
    }
}
