//! Reads the status of a running server.

use std::io;
use std::io::Read;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use proto::wire::{self, MESSAGE_BYTES};
use thiserror::Error;

use super::{Status, TIMEOUT};

/// Why there is no status.
#[derive(Debug, Error)]
pub enum StatusError {
    /// Nobody is there.
    #[error("no server answers at {path}: start one with `ivshmem-server --status-socket {path}`", path = path.display())]
    NotRunning {
        /// The status socket's path.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Somebody may be there, whom this user may not ask.
    #[error(
        "this user may not ask at {}: ask as the server's user, or let others ask (its --socket-mode, SocketMode= and \
         SocketGroup= of its unit, the folders on the way)",
        path.display()
    )]
    NotAllowed {
        /// The status socket's path.
        path: PathBuf,
        /// What the kernel says.
        source: io::Error,
    },
    /// Whether somebody is there is unknown.
    #[error("cannot connect to {}", path.display())]
    Connect {
        /// The status socket's path.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The connection broke, or the answer took too long.
    #[error("the server at {} did not answer to the end", path.display())]
    Read {
        /// The status socket's path.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// What was said is nothing that a status begins with, or without end.
    #[error(
        "what answers at {} is no status socket of ivshmem-server; its --socket is for peers only",
        .0.display()
    )]
    ForeignAnswer(PathBuf),
    /// The answer is no status.
    #[error(
        "what answers at {} is no status socket of ivshmem-server; its --socket is for peers only",
        path.display()
    )]
    NoStatus {
        /// The path.
        path: PathBuf,
        /// What is wrong with the answer.
        source: serde_json::Error,
    },
}

/// More than any status has: 65,536 peers with some 200 bytes each.
const MAX_BYTES: usize = 64 << 20;

/// Asks the server behind a status socket. Returns the document as the server wrote it, and what it says.
pub fn query(path: &Path) -> Result<(String, Status), StatusError> {
    let bytes = read_answer(path, TIMEOUT, MAX_BYTES)?;
    let status =
        serde_json::from_slice(&bytes).map_err(|source| StatusError::NoStatus { path: path.into(), source })?;
    Ok((String::from_utf8_lossy(&bytes).into_owned(), status))
}

fn unconnected(path: &Path, source: io::Error) -> StatusError {
    let path = path.into();
    match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => StatusError::NotRunning { path, source },
        io::ErrorKind::PermissionDenied => StatusError::NotAllowed { path, source },
        _ => StatusError::Connect { path, source },
    }
}

/// What is said at a socket up to its end, which must come before the deadline and before so many bytes.
fn read_answer(path: &Path, patience: Duration, most: usize) -> Result<Vec<u8>, StatusError> {
    let mut stream = UnixStream::connect(path).map_err(|source| unconnected(path, source))?;
    let failed = |source| StatusError::Read { path: path.into(), source };
    let deadline = Instant::now() + patience;
    let (mut bytes, mut part) = (Vec::new(), [0; 1 << 14]);
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(failed(io::ErrorKind::TimedOut.into()));
        }
        stream.set_read_timeout(Some(left)).map_err(failed)?;
        match stream.read(&mut part) {
            Ok(0) => return Ok(bytes),
            Ok(count) => bytes.extend_from_slice(&part[..count]),
            // The deadline is over, which is said above.
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(error) => return Err(failed(error)),
        }
        // The first thing that clients are told, at a socket that never ends by itself.
        let is_for_clients = bytes.len() >= MESSAGE_BYTES && bytes.starts_with(&wire::encode(wire::PROTOCOL_VERSION));
        if is_for_clients || bytes.len() > most {
            return Err(StatusError::ForeignAnswer(path.into()));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::net::UnixListener;
    use std::thread;

    use super::*;

    /// What `read_answer` makes of somebody who says this again and again until nobody listens.
    fn answer_of(words: &'static [u8], pause: Duration, patience: Duration, most: usize) -> StatusError {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let speaking = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            while stream.write_all(words).is_ok() {
                thread::sleep(pause);
            }
        });
        let error = read_answer(&path, patience, most).unwrap_err();
        speaking.join().unwrap();
        error
    }

    #[test]
    fn an_answer_without_end_is_given_up() {
        let error = answer_of(b" ", Duration::from_millis(20), Duration::from_millis(200), 1 << 20);
        assert!(
            matches!(&error, StatusError::Read { source, .. } if source.kind() == io::ErrorKind::TimedOut),
            "{error}"
        );
        let error = answer_of(&[b' '; 4096], Duration::ZERO, Duration::from_secs(60), 1 << 16);
        assert!(matches!(error, StatusError::ForeignAnswer(_)), "{error}");
    }
}
