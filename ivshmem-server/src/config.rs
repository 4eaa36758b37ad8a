//! The server's settings.

use std::path::PathBuf;
use std::time::Duration;

use crate::access::Access;
use crate::memory::Backing;

/// The default socket of QEMU's example server, which clients expect.
pub const DEFAULT_SOCKET: &str = "/tmp/ivshmem_socket";

/// The default size of the shared memory.
pub const DEFAULT_SIZE: u64 = 64 << 20;

/// Maximum number of vectors: without ioeventfd QEMU evaluates only eight bits of a vector.
pub const MAX_VECTORS: u16 = 256;

/// Default limit after which a client that does not read pending messages is disconnected. Long enough for a VM on an
/// overloaded host. QEMU goes on reading while its VM is paused.
pub const DEFAULT_STALL_TIMEOUT: Duration = Duration::from_secs(60);

/// Settings for [`Server::bind`](crate::Server::bind).
#[derive(Debug, Clone)]
pub struct Config {
    /// Path of the client socket.
    pub socket: PathBuf,
    /// Permissions of the sockets.
    pub socket_mode: u32,
    /// Users and groups that may connect.
    pub access: Access,
    /// Path of the status socket.
    pub status_socket: Option<PathBuf>,
    /// How long a client may leave pending messages unread.
    pub stall_timeout: Duration,
    /// Backing of the shared memory.
    pub backing: Backing,
    /// Size of the shared memory in bytes. Rounded up to a power of two.
    pub size: u64,
    /// Vectors of each peer, from 1 to [`MAX_VECTORS`].
    pub vectors: u16,
    /// Peer limit. By default the limit of open files determines it.
    pub max_peers: Option<usize>,
    /// File for the process id.
    pub pid_file: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            socket: DEFAULT_SOCKET.into(),
            socket_mode: 0o600,
            access: Access::default(),
            status_socket: None,
            stall_timeout: DEFAULT_STALL_TIMEOUT,
            backing: Backing::Memfd,
            size: DEFAULT_SIZE,
            vectors: 1,
            max_peers: None,
            pid_file: None,
        }
    }
}
