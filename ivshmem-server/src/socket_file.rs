//! The socket's path: an unused socket is replaced, a server's socket is not. The path is removed at the end.

mod atomic_bind;

use std::fs::{self, File, Metadata, Permissions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use rustix::fd::OwnedFd;
use rustix::fs::{FlockOperation, Mode, OFlags, fchmod, flock};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use thiserror::Error;
use tracing::info;

/// More than the default of net.core.somaxconn, to which the kernel limits it.
const BACKLOG: i32 = 4096;

/// Half a second in total. Servers hold the directory's lock only briefly.
const LOCK_ATTEMPTS: u32 = 50;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// Why a server cannot listen at a path.
#[derive(Debug, Error)]
#[expect(missing_docs, reason = "the texts describe the errors")]
pub enum SocketError {
    #[error("the socket path {} is longer than 107 bytes", .0.display())]
    PathTooLong(PathBuf),
    /// An address of the abstract namespace, which has no permissions.
    #[error(
        "abstract sockets are not supported: give ./{path} for a file with the name {path}",
        path = .0.display()
    )]
    Abstract(PathBuf),
    #[error(
        "a server already answers at {}: use it, stop it, or choose another path (--socket, --status-socket)",
        .0.display()
    )]
    InUse(PathBuf),
    #[error(
        "{} exists and is not a socket: remove it, or choose another path (--socket, --status-socket)",
        .0.display()
    )]
    NotASocket(PathBuf),
    #[error("cannot determine whether a server answers at {}", path.display())]
    Probe { path: PathBuf, source: io::Error },
    #[error("cannot remove the unused socket {}", path.display())]
    Remove { path: PathBuf, source: io::Error },
    #[error(
        "cannot listen at {}: its directory must exist and be writable for this user",
        path.display()
    )]
    Listen { path: PathBuf, source: io::Error },
}

/// The path of a listening socket, removed when dropped.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl SocketFile {
    /// Listens at `path`. The file has exactly the permissions `mode` from the start.
    pub(crate) fn claim(path: &Path, mode: u32) -> Result<(UnixListener, Self), SocketError> {
        if path.as_os_str().as_encoded_bytes().starts_with(b"@") {
            return Err(SocketError::Abstract(path.into()));
        }
        let too_long = || SocketError::PathTooLong(path.into());
        // Unlike the kernel and rustix, std requires a terminating zero, which QEMU and getsockname(2) need.
        std::os::unix::net::SocketAddr::from_pathname(path).map_err(|_| too_long())?;
        let address = SocketAddrUnix::new(path).map_err(|_| too_long())?;
        // Another server could replace an unused socket between the check and its removal. The lock prevents that.
        let _lock = lock_directory(path);
        remove_unused(path, &address)?;
        listen_at(path, &address, mode).map_err(|source| SocketError::Listen { path: path.into(), source })
    }
}

impl Drop for SocketFile {
    /// Keeps a file that another process has created at the path.
    fn drop(&mut self) {
        if fs::symlink_metadata(&self.path).is_ok_and(|found| identity(&found) == self.identity) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

/// Locks the directory of `path` until the result is dropped. The lock is advisory: a server that does not get it in time goes
/// on without.
fn lock_directory(path: &Path) -> Option<File> {
    // Without O_DIRECTORY, opening a FIFO would block.
    let flags = OFlags::DIRECTORY.bits().cast_signed();
    let directory = File::options().read(true).custom_flags(flags).open(parent_of(path)).ok()?;
    for _ in 0..LOCK_ATTEMPTS {
        match flock(&directory, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Some(directory),
            Err(Errno::WOULDBLOCK) => sleep(LOCK_PAUSE),
            Err(_) => return None,
        }
    }
    None
}

/// Removes an unused socket at `path`. Fails if a server uses it or the file is not a socket.
fn remove_unused(path: &Path, address: &SocketAddrUnix) -> Result<(), SocketError> {
    let Ok(found) = fs::symlink_metadata(path) else {
        return Ok(());
    };
    if !found.file_type().is_socket() {
        return Err(SocketError::NotASocket(path.into()));
    }
    match probe(address) {
        // AGAIN: the backlog is full, so a server listens.
        Ok(()) | Err(Errno::AGAIN) => Err(SocketError::InUse(path.into())),
        Err(Errno::NOENT) => Ok(()),
        Err(Errno::CONNREFUSED) => {
            info!("no server answers at {}: replacing the socket", path.display());
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

/// The directory of a path's last component.
pub(crate) fn parent_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// An absolute path without links. It stays valid when the process changes its directory, even if `path` contains
/// /proc/self/cwd.
fn absolute(path: &Path) -> io::Result<PathBuf> {
    let directory = fs::canonicalize(parent_of(path))?;
    Ok(directory.join(path.file_name().ok_or(io::ErrorKind::InvalidInput)?))
}

fn listen_at(path: &Path, address: &SocketAddrUnix, mode: u32) -> io::Result<(UnixListener, SocketFile)> {
    let socket = stream_socket()?;
    // The file inherits this mode (unix(7)).
    fchmod(socket.as_fd(), Mode::from_bits_truncate(mode))?;
    atomic_bind::bind_and_listen(&socket, path, address, mode, BACKLOG)?;
    let metadata = fs::symlink_metadata(path)?;
    let file = SocketFile { path: absolute(path)?, identity: identity(&metadata) };
    // If the socket was bound in place, the umask or a default ACL of the directory may have removed permissions.
    if metadata.permissions().mode() & 0o777 != mode {
        fs::set_permissions(path, Permissions::from_mode(mode))?;
    }
    Ok((socket.into(), file))
}
