//! The connection to the server: bytes in, events out, each with a deadline.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Instant;

use proto::connect::{ConnectError, connect};
use proto::fd_passing::{ReceiveError, Received, receive};
use proto::session::{Event, Session, SessionError};
use proto::wire::{Decoder, PeerId};
use proto::{deadline, status};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use super::{ClientError, descriptor};

#[derive(Debug)]
pub(super) struct Connection {
    path: PathBuf,
    /// Non-blocking.
    stream: UnixStream,
    decoder: Decoder<OwnedFd>,
    session: Session,
    /// Set after an error: later bytes cannot be interpreted.
    ended: bool,
}

impl Connection {
    pub(super) fn open(path: &Path, deadline: Instant) -> Result<Self, ClientError> {
        let stream = connect(path, deadline)?;
        Ok(Self { path: path.into(), stream, decoder: Decoder::new(), session: Session::new(), ended: false })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the first messages of the handshake: the client's id and the memory object.
    pub(super) fn receive_init(&mut self, deadline: Instant) -> Result<(PeerId, OwnedFd), ClientError> {
        let started = Instant::now();
        let mut id = None;
        loop {
            match (self.event(deadline)?, id) {
                (Some(Event::Joined(own)), _) => id = Some(own),
                (Some(Event::Memory(memory)), Some(id)) => return Ok((id, memory)),
                (Some(_), _) => {}
                (None, _) => {
                    return Err(ClientError::HandshakeTimeout { path: self.path.clone(), waited: started.elapsed() });
                }
            }
        }
    }

    /// The next event; `None` after the deadline. An event that has already arrived is returned even after the
    /// deadline.
    pub(super) fn event(&mut self, deadline: Instant) -> Result<Option<Event<OwnedFd>>, ClientError> {
        if self.ended {
            return Err(ClientError::ServerGone(self.path.clone()));
        }
        let event = self.next_event(deadline);
        self.ended = event.is_err();
        event
    }

    /// Ignores everything that arrives from now on.
    pub(super) fn stop(&mut self) {
        self.ended = true;
    }

    fn next_event(&mut self, deadline: Instant) -> Result<Option<Event<OwnedFd>>, ClientError> {
        loop {
            let received = receive(&self.stream, &mut self.decoder);
            match received.map_err(|source| self.receive_error(source))? {
                Received::Message(message) => {
                    let event = self.session.feed(message.value, message.fd);
                    return event.map(Some).map_err(|error| self.session_error(error));
                }
                Received::Closed => return Err(ClientError::ServerGone(self.path.clone())),
                Received::NotYet if Instant::now() >= deadline => return Ok(None),
                Received::NotYet => self.wait_until_readable(deadline)?,
            }
        }
    }

    /// A descriptor is lost if this process reached its limit of open files or if a message carries too many
    /// descriptors. Whether more files can be opened distinguishes the two.
    fn receive_error(&self, source: ReceiveError) -> ClientError {
        let path = self.path.clone();
        match source {
            ReceiveError::DescriptorLost if descriptor::can_open_more(&self.stream) => {
                ClientError::SurplusDescriptors(path)
            }
            source => ClientError::Receive { path, source },
        }
    }

    fn session_error(&self, error: SessionError) -> ClientError {
        let path = self.path.clone();
        match error {
            SessionError::Refused => ClientError::Refused(path),
            SessionError::WrongVersion(value) if status::is_status_document(value) => ClientError::StatusSocket(path),
            source => ClientError::Protocol { path, source },
        }
    }

    fn wait_until_readable(&self, deadline: Instant) -> Result<(), ClientError> {
        let timeout = deadline::remaining(deadline);
        match poll(&mut [PollFd::new(&self.stream, PollFlags::IN)], Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(errno) => Err(ConnectError::Failed { path: self.path.clone(), source: errno.into() }.into()),
        }
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}
