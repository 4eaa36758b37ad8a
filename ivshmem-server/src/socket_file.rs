//! The socket's path: taken over from the dead, never from the living, removed at the end.

mod atomic_bind;

use std::fs::{self, File, Metadata, Permissions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use rustix::fd::OwnedFd;
use rustix::fs::{FlockOperation, Mode, fchmod, flock};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use thiserror::Error;
use tracing::info;

/// More than the kernel grants by default; it cuts this down to net.core.somaxconn.
const BACKLOG: i32 = 4096;

/// Half a second in all: whoever holds the folder's lock for longer is no server.
const LOCK_ATTEMPTS: u32 = 50;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// Why a server cannot listen at a path.
#[derive(Debug, Error)]
pub enum SocketError {
    /// A UNIX socket's path has 107 bytes at most.
    #[error("the socket's path {} is longer than 107 bytes", .0.display())]
    PathTooLong(PathBuf),
    /// Written as an address of the abstract namespace, which has no permissions.
    #[error(
        "{path} would be a file, not an abstract socket: give ./{path} for a file of this name; abstract sockets are not \
         supported",
        path = .0.display()
    )]
    Abstract(PathBuf),
    /// Another server answers there.
    #[error(
        "a server already answers at {}: use it, stop it, or choose another path (--socket, --status-socket)",
        .0.display()
    )]
    InUse(PathBuf),
    /// The path is taken by something that is no socket.
    #[error(
        "{} exists and is no socket: remove it, or choose another path (--socket, --status-socket)",
        .0.display()
    )]
    NotASocket(PathBuf),
    /// The socket that is there cannot be asked whether a server answers.
    #[error("cannot tell whether a server answers at {}", path.display())]
    Probe {
        /// The socket's path.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A socket that nobody listens on cannot be removed.
    #[error("nobody answers at {}, but it cannot be removed", path.display())]
    Remove {
        /// The socket's path.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Anything else.
    #[error(
        "cannot listen at {}: its folder must exist and be writable for this user",
        path.display()
    )]
    Listen {
        /// The socket's path.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// A path at which this process listens, removed when dropped.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl SocketFile {
    /// Listens at `path`, with a file of exactly the permissions `mode` at any time.
    pub(crate) fn claim(path: &Path, mode: u32) -> Result<(UnixListener, Self), SocketError> {
        if path.as_os_str().as_encoded_bytes().starts_with(b"@") {
            return Err(SocketError::Abstract(path.into()));
        }
        let address = SocketAddrUnix::new(path).map_err(|_| SocketError::PathTooLong(path.into()))?;
        // Between finding a dead server's socket and removing it, another server might put its own
        // there. Servers that start at the same time take turns.
        let _turn = lock_folder(path);
        clear(path, &address)?;
        listen_at(path, &address, mode).map_err(|source| SocketError::Listen { path: path.into(), source })
    }
}

impl Drop for SocketFile {
    /// Leaves the path alone when somebody put something else there meanwhile.
    fn drop(&mut self) {
        if fs::symlink_metadata(&self.path).is_ok_and(|found| identity(&found) == self.identity) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

/// Holds a lock on the folder of `path` until dropped. A courtesy among servers, held for an instant:
/// where it cannot be had, the path is claimed without.
fn lock_folder(path: &Path) -> Option<File> {
    let folder = File::open(atomic_bind::parent_of(path)).ok()?;
    for _ in 0..LOCK_ATTEMPTS {
        match flock(&folder, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Some(folder),
            Err(Errno::WOULDBLOCK) => sleep(LOCK_PAUSE),
            Err(_) => return None,
        }
    }
    None
}

/// Makes sure that nothing is at `path`, without taking anything from a living server.
fn clear(path: &Path, address: &SocketAddrUnix) -> Result<(), SocketError> {
    let Ok(found) = fs::symlink_metadata(path) else {
        return Ok(());
    };
    if !found.file_type().is_socket() {
        return Err(SocketError::NotASocket(path.into()));
    }
    match probe(address) {
        // A full backlog is a server too.
        Ok(()) | Err(Errno::AGAIN) => Err(SocketError::InUse(path.into())),
        Err(Errno::NOENT) => Ok(()),
        Err(Errno::CONNREFUSED) => {
            info!("nobody answers at {}: taking it over", path.display());
            fs::remove_file(path).map_err(|source| SocketError::Remove { path: path.into(), source })
        }
        Err(errno) => Err(SocketError::Probe { path: path.into(), source: errno.into() }),
    }
}

fn probe(address: &SocketAddrUnix) -> Result<(), Errno> {
    connect(stream_socket()?, address)
}

fn stream_socket() -> Result<OwnedFd, Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
}

/// A path to the same file that stays valid when the process changes its directory, even if it led through /proc/self/cwd.
fn lasting(path: &Path) -> io::Result<PathBuf> {
    let folder = fs::canonicalize(atomic_bind::parent_of(path))?;
    Ok(folder.join(path.file_name().ok_or(io::ErrorKind::InvalidInput)?))
}

fn listen_at(path: &Path, address: &SocketAddrUnix, mode: u32) -> io::Result<(UnixListener, SocketFile)> {
    let socket = stream_socket()?;
    // The file gets it (unix(7)).
    fchmod(socket.as_fd(), Mode::from_bits_truncate(mode))?;
    atomic_bind::bind_and_listen(&socket, path, address, mode, BACKLOG)?;
    let found = fs::symlink_metadata(path)?;
    let file = SocketFile { path: lasting(path)?, identity: identity(&found) };
    // The umask, or a default ACL of the folder, may have taken something from one that was bound in place.
    if found.permissions().mode() & 0o777 != mode {
        fs::set_permissions(path, Permissions::from_mode(mode))?;
    }
    Ok((socket.into(), file))
}
