//! Connects to a server's socket.

use std::io;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, socket_with};
use thiserror::Error;

/// Longest path in `sockaddr_un` ([unix(7)](https://man7.org/linux/man-pages/man7/unix.7.html)) with a terminating
/// zero, which QEMU and ivshmem-server need.
const MAX_PATH_BYTES: usize = 107;

/// Delay before another connect to a server whose accept queue is full.
const RETRY: Duration = Duration::from_millis(5);

/// Why no connection was made.
#[derive(Debug, Error)]
#[expect(missing_docs, reason = "the texts describe the errors")]
pub enum ConnectError {
    #[error("no socket at {path}. Hint: start a server with `ivshmem-server -S {path}`", path = .0.display())]
    NoSocket(PathBuf),
    #[error("no server listens at {path}. Hint: start a server with `ivshmem-server -S {path}`", path = .0.display())]
    NotListening(PathBuf),
    #[error("{} is not a socket. Hint: use the socket of a server, or remove the file and start a server there", .0.display())]
    NotASocket(PathBuf),
    #[error(
        "the socket path has {} bytes, a Unix socket allows at most {MAX_PATH_BYTES}. Hint: use a shorter path, such as a \
         symbolic link to its directory",
        .0.as_os_str().len()
    )]
    PathTooLong(PathBuf),
    #[error(
        "the server at {} did not accept a connection within {waited:.1?}. Hint: check that it is not stopped, or allow more \
         time",
        path.display()
    )]
    NotAccepted { path: PathBuf, waited: Duration },
    #[error("cannot connect to {}. Hint: use the socket of a server that this user can open", path.display())]
    Failed { path: PathBuf, source: io::Error },
}

fn is_socket(path: &Path) -> bool {
    // A path that no longer exists may have been a socket.
    std::fs::metadata(path).map_or(true, |metadata| metadata.file_type().is_socket())
}

/// Connects to a server's socket without reading from it. The stream is non-blocking. Retries until the deadline while the
/// server's accept queue is full.
pub fn connect(path: &Path, deadline: Instant) -> Result<UnixStream, ConnectError> {
    if path.as_os_str().len() > MAX_PATH_BYTES {
        return Err(ConnectError::PathTooLong(path.into()));
    }
    let started = Instant::now();
    loop {
        return match try_connect(path) {
            Ok(stream) => Ok(stream),
            Err(Errno::AGAIN | Errno::INTR) if Instant::now() < deadline => {
                sleep(RETRY);
                continue;
            }
            Err(Errno::AGAIN) => Err(ConnectError::NotAccepted { path: path.into(), waited: started.elapsed() }),
            Err(Errno::NOENT) => Err(ConnectError::NoSocket(path.into())),
            // connect(2) returns the same error for a path that is not a socket.
            Err(Errno::CONNREFUSED) if !is_socket(path) => Err(ConnectError::NotASocket(path.into())),
            Err(Errno::CONNREFUSED) => Err(ConnectError::NotListening(path.into())),
            Err(errno) => Err(ConnectError::Failed { path: path.into(), source: errno.into() }),
        };
    }
}

/// See [connect(2)](https://man7.org/linux/man-pages/man2/connect.2.html). Non-blocking from the start: a blocking
/// connect hangs if the server does not accept.
fn try_connect(path: &Path) -> Result<UnixStream, Errno> {
    let address = SocketAddrUnix::new(path)?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    rustix::net::connect(&socket, &address)?;
    Ok(socket.into())
}
