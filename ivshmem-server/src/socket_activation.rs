//! Sockets that systemd opened
//! ([sd_listen_fds(3)](https://www.freedesktop.org/software/systemd/man/latest/sd_listen_fds.html)).
//!
//! With `LISTEN_FDNAMES`, the one called `status` is the status socket; any other is for clients, of which there may be
//! one.

use std::env;
use std::io;
use std::os::unix::net::UnixListener;
use std::process;

use listenfd::ListenFd;
use rustix::net::sockopt::socket_acceptconn;
use thiserror::Error;

/// What a `FileDescriptorName=` of the status socket's unit must be.
pub const STATUS_NAME: &str = "status";

/// The sockets that this process inherited.
#[derive(Debug, Default)]
pub struct InheritedSockets {
    /// The one for clients.
    pub clients: Option<UnixListener>,
    /// The one that tells the status.
    pub status: Option<UnixListener>,
}

/// Why what was inherited is of no use.
#[derive(Debug, Error)]
pub enum ActivationError {
    /// It is no listening UNIX stream socket.
    #[error("file descriptor {fd} that systemd passed is no UNIX stream socket: use ListenStream= with a path")]
    NotASocket {
        /// Which.
        fd: usize,
        /// What it is not.
        source: io::Error,
    },
    /// It is a socket, but nobody can connect to it: somebody's connection, or one that was never listened on.
    #[error(
        "file descriptor {fd} that systemd passed does not listen: \
         the socket's unit needs Accept=no, without which it passes one client's connection"
    )]
    NotListening {
        /// Which.
        fd: usize,
    },
    /// There are several of a kind.
    #[error(
        "systemd passed {count} sockets {kind}, but there is one at most; \
         the status socket's unit needs FileDescriptorName={STATUS_NAME}"
    )]
    TooMany {
        /// How many.
        count: usize,
        /// What for.
        kind: &'static str,
    },
}

impl InheritedSockets {
    /// Takes what `LISTEN_FDS` says, if `LISTEN_PID` names this process. To be called once, before anything else opens
    /// files.
    pub fn take() -> Result<Self, ActivationError> {
        // listenfd takes it for itself where nobody is named.
        if !env::var("LISTEN_PID").is_ok_and(|pid| pid.parse() == Ok(process::id())) {
            return Ok(Self::default());
        }
        // Read before listenfd takes the variables away.
        let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut passed = ListenFd::from_env();
        let mut listeners = Vec::new();
        for index in 0..passed.len() {
            let fd = 3 + index;
            let taken = passed.take_unix_listener(index);
            let Some(listener) = taken.map_err(|source| ActivationError::NotASocket { fd, source })? else { continue };
            // listenfd looks at the family and the type, which a connection has too.
            let listens = socket_acceptconn(&listener)
                .map_err(|errno| ActivationError::NotASocket { fd, source: errno.into() })?;
            if !listens {
                return Err(ActivationError::NotListening { fd });
            }
            listeners.push(listener);
        }
        Self::sort(listeners, &names)
    }

    fn sort(listeners: Vec<UnixListener>, names: &str) -> Result<Self, ActivationError> {
        let mut names = names.split(':');
        let (status, clients): (Vec<_>, Vec<_>) = listeners
            .into_iter()
            .map(|listener| (names.next(), listener))
            .partition(|(name, _)| *name == Some(STATUS_NAME));
        let only = |mut found: Vec<(Option<&str>, UnixListener)>, kind| match found.len() {
            0 | 1 => Ok(found.pop().map(|(_, listener)| listener)),
            count => Err(ActivationError::TooMany { count, kind }),
        };
        Ok(Self { clients: only(clients, "for clients")?, status: only(status, "for the status")? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listeners(count: usize) -> (tempfile::TempDir, Vec<UnixListener>) {
        let folder = tempfile::tempdir().unwrap();
        let bound = (0..count).map(|at| UnixListener::bind(folder.path().join(at.to_string())).unwrap()).collect();
        (folder, bound)
    }

    #[test]
    fn the_name_tells_the_status_socket_from_the_other() {
        let (_folder, both) = listeners(2);
        let inherited = InheritedSockets::sort(both, "status:ivshmem-server.socket").unwrap();
        let path = |listener: UnixListener| listener.local_addr().unwrap().as_pathname().unwrap().to_owned();
        assert!(path(inherited.status.unwrap()).ends_with("0"));
        assert!(path(inherited.clients.unwrap()).ends_with("1"));
    }

    #[test]
    fn one_without_a_name_is_for_clients() {
        let (_folder, one) = listeners(1);
        let inherited = InheritedSockets::sort(one, "").unwrap();
        assert!(inherited.clients.is_some() && inherited.status.is_none());
    }

    #[test]
    fn two_of_a_kind_are_an_error() {
        for (names, kind) in [("a:b", "for clients"), ("status:status", "for the status")] {
            let (_folder, both) = listeners(2);
            let error = InheritedSockets::sort(both, names).unwrap_err();
            assert!(error.to_string().contains(&format!("2 sockets {kind}")), "{error}");
        }
    }
}
