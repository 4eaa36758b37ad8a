//! Reads the status of a running server.

use std::io;
use std::io::Read;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use proto::wire::{self, MESSAGE_BYTES};
use thiserror::Error;

use super::{Status, TIMEOUT};

/// Why the status cannot be read.
#[derive(Debug, Error)]
pub enum StatusError {
    /// No server listens.
    #[error("no server answers at {path}: start one with `ivshmem-server --status-socket {path}`", path = path.display())]
    NotRunning {
        /// The status socket's path.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// This user may not connect.
    #[error(
        "permission denied at {}: run this as the server's user, or allow other users (the server's --socket-mode, or \
         SocketMode= and SocketGroup= of its unit, and the permissions of the directories)",
        path.display()
    )]
    PermissionDenied {
        /// The status socket's path.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The connection failed for another reason.
    #[error("cannot connect to {}", path.display())]
    Connect {
        /// The status socket's path.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The connection broke, or the answer took too long.
    #[error("the answer of the server at {} is incomplete", path.display())]
    Read {
        /// The status socket's path.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The answer is not a status.
    #[error("{} is not a status socket of ivshmem-server; its --socket is for peers only", path.display())]
    NotAStatus {
        /// The path.
        path: PathBuf,
        /// The error in the document, if it was read.
        source: Option<serde_json::Error>,
    },
}

/// More than the largest status: 65,536 peers with about 200 bytes each.
const MAX_BYTES: usize = 64 << 20;

/// Queries the server at a status socket. Returns the document as the server sent it, and its contents.
pub fn query(path: &Path) -> Result<(String, Status), StatusError> {
    let bytes = read_answer(path, TIMEOUT, MAX_BYTES)?;
    let status = serde_json::from_slice(&bytes)
        .map_err(|error| StatusError::NotAStatus { path: path.into(), source: Some(error) })?;
    Ok((String::from_utf8_lossy(&bytes).into_owned(), status))
}

fn connect_error(path: &Path, source: io::Error) -> StatusError {
    let path = path.into();
    match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => StatusError::NotRunning { path, source },
        io::ErrorKind::PermissionDenied => StatusError::PermissionDenied { path, source },
        _ => StatusError::Connect { path, source },
    }
}

/// Reads to the end of the stream. Fails after the timeout, or after more than `max_bytes`.
fn read_answer(path: &Path, timeout: Duration, max_bytes: usize) -> Result<Vec<u8>, StatusError> {
    let mut stream = UnixStream::connect(path).map_err(|source| connect_error(path, source))?;
    let failed = |source| StatusError::Read { path: path.into(), source };
    let deadline = Instant::now() + timeout;
    let (mut bytes, mut chunk) = (Vec::new(), [0; 1 << 14]);
    loop {
        let remaining = deadline.saturating_duration_since(Instant::now());
        if remaining.is_zero() {
            return Err(failed(io::ErrorKind::TimedOut.into()));
        }
        stream.set_read_timeout(Some(remaining)).map_err(failed)?;
        match stream.read(&mut chunk) {
            Ok(0) => return Ok(bytes),
            Ok(count) => bytes.extend_from_slice(&chunk[..count]),
            // The check above detects the timeout.
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(error) => return Err(failed(error)),
        }
        // The first message of a client socket, which stays open after it.
        let is_client_socket = bytes.len() >= MESSAGE_BYTES && bytes.starts_with(&wire::encode(wire::PROTOCOL_VERSION));
        if is_client_socket || bytes.len() > max_bytes {
            return Err(StatusError::NotAStatus { path: path.into(), source: None });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::net::UnixListener;
    use std::thread;

    use super::*;

    /// The error for a server that sends the same bytes until the connection ends.
    fn error_for(bytes: &'static [u8], pause: Duration, timeout: Duration, max_bytes: usize) -> StatusError {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            while stream.write_all(bytes).is_ok() {
                thread::sleep(pause);
            }
        });
        let error = read_answer(&path, timeout, max_bytes).unwrap_err();
        server.join().unwrap();
        error
    }

    #[test]
    fn an_endless_answer_ends_by_time_or_size() {
        let error = error_for(b" ", Duration::from_millis(20), Duration::from_millis(200), 1 << 20);
        assert!(
            matches!(&error, StatusError::Read { source, .. } if source.kind() == io::ErrorKind::TimedOut),
            "{error}"
        );
        let error = error_for(&[b' '; 4096], Duration::ZERO, Duration::from_secs(60), 1 << 16);
        assert!(matches!(error, StatusError::NotAStatus { source: None, .. }), "{error}");
    }
}
