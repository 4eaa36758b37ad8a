//! Sockets passed by systemd
//! ([sd_listen_fds(3)](https://www.freedesktop.org/software/systemd/man/latest/sd_listen_fds.html)).
//!
//! The one named `status` in `LISTEN_FDNAMES` is the status socket. At most one other is allowed: the client socket.

use std::env;
use std::io;
use std::os::unix::net::UnixListener;
use std::process;

use listenfd::ListenFd;
use rustix::net::sockopt::socket_acceptconn;
use thiserror::Error;

/// `FileDescriptorName=` in the unit of the status socket.
pub const STATUS_NAME: &str = "status";

/// Inherited sockets.
#[derive(Debug, Default)]
pub struct InheritedSockets {
    /// The client socket.
    pub clients: Option<UnixListener>,
    /// The status socket.
    pub status: Option<UnixListener>,
}

/// Why inherited sockets cannot be used.
#[derive(Debug, Error)]
#[expect(missing_docs, reason = "the texts describe the errors")]
pub enum ActivationError {
    #[error("file descriptor {fd} from systemd is not a UNIX stream socket: use ListenStream= with a path")]
    NotASocket { fd: usize, source: io::Error },
    #[error(
        "file descriptor {fd} from systemd does not listen: set Accept=no in the socket's unit, otherwise systemd passes the \
         connection of one client"
    )]
    NotListening { fd: usize },
    #[error(
        "systemd passed {count} sockets {purpose}, at most one is allowed: the unit of the status socket needs \
         FileDescriptorName={STATUS_NAME}"
    )]
    TooMany { count: usize, purpose: &'static str },
}

impl InheritedSockets {
    /// Takes the sockets of `LISTEN_FDS`, if `LISTEN_PID` is this process. Call it once, before any file is opened.
    pub fn take() -> Result<Self, ActivationError> {
        // Without LISTEN_PID, listenfd would take the sockets.
        if !env::var("LISTEN_PID").is_ok_and(|pid| pid.parse() == Ok(process::id())) {
            return Ok(Self::default());
        }
        // listenfd removes the variables, so this comes first.
        let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut passed = ListenFd::from_env();
        let mut listeners = Vec::new();
        for index in 0..passed.len() {
            let fd = 3 + index;
            let taken = passed.take_unix_listener(index);
            let Some(listener) = taken.map_err(|source| ActivationError::NotASocket { fd, source })? else { continue };
            // listenfd checks family and type, which a connection has as well.
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
        let at_most_one = |mut sockets: Vec<(Option<&str>, UnixListener)>, purpose| match sockets.len() {
            0 | 1 => Ok(sockets.pop().map(|(_, listener)| listener)),
            count => Err(ActivationError::TooMany { count, purpose }),
        };
        Ok(Self { clients: at_most_one(clients, "for clients")?, status: at_most_one(status, "for the status")? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listeners(count: usize) -> (tempfile::TempDir, Vec<UnixListener>) {
        let directory = tempfile::tempdir().unwrap();
        let bind = |index: usize| UnixListener::bind(directory.path().join(index.to_string())).unwrap();
        let listeners = (0..count).map(bind).collect();
        (directory, listeners)
    }

    #[test]
    fn recognizes_the_status_socket_by_its_name() {
        let (_directory, both) = listeners(2);
        let inherited = InheritedSockets::sort(both, "status:ivshmem-server.socket").unwrap();
        let path = |listener: UnixListener| listener.local_addr().unwrap().as_pathname().unwrap().to_owned();
        assert!(path(inherited.status.unwrap()).ends_with("0"));
        assert!(path(inherited.clients.unwrap()).ends_with("1"));
    }

    #[test]
    fn a_socket_without_a_name_is_for_clients() {
        let (_directory, one) = listeners(1);
        let inherited = InheritedSockets::sort(one, "").unwrap();
        assert!(inherited.clients.is_some() && inherited.status.is_none());
    }

    #[test]
    fn refuses_two_sockets_for_one_purpose() {
        for (names, purpose) in [("a:b", "for clients"), ("status:status", "for the status")] {
            let (_directory, both) = listeners(2);
            let error = InheritedSockets::sort(both, names).unwrap_err();
            assert!(error.to_string().contains(&format!("2 sockets {purpose}")), "{error}");
        }
    }
}
