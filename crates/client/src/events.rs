//! Waits for doorbells and for the server together.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use proto::wire::Vector;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use super::{Client, ClientError, ClientEvent, deadline};

impl Client {
    /// Waits for the next event: a doorbell of this client or a change among the peers. `None` after the timeout; no
    /// timeout: waits without limit. Once the server is gone, this and every later call returns an error;
    /// [`wait_any`](Self::wait_any) still waits for doorbells.
    pub fn next(&mut self, timeout: Option<Duration>) -> Result<Option<ClientEvent>, ClientError> {
        let deadline = timeout.map(deadline::after);
        loop {
            if let Some(change) = self.queued.pop_front() {
                return Ok(Some(ClientEvent::Peer(change)));
            }
            if let Some(error) = self.deferred_error.take() {
                return Err(error);
            }
            let Some(ready) = self.poll_all(deadline, true)? else { return Ok(None) };
            match ready {
                Ready::Server => {
                    let changes = self.poll_events(Duration::ZERO)?;
                    self.queued.extend(changes);
                }
                Ready::Doorbell(vector) => {
                    if let Some(rings) = self.wait(vector, Some(Duration::ZERO))? {
                        return Ok(Some(ClientEvent::Rung { vector, rings }));
                    }
                }
            }
        }
    }

    /// Waits for any doorbell of this client; returns the vector and the rings since the last call. `None` after the
    /// timeout; no timeout: waits without limit.
    pub fn wait_any(&mut self, timeout: Option<Duration>) -> Result<Option<(Vector, u64)>, ClientError> {
        let deadline = timeout.map(deadline::after);
        while let Some(ready) = self.poll_all(deadline, false)? {
            if let Ready::Doorbell(vector) = ready
                && let Some(rings) = self.wait(vector, Some(Duration::ZERO))?
            {
                return Ok(Some((vector, rings)));
            }
        }
        Ok(None)
    }

    /// The next readable descriptor, round robin: a doorbell that rings all the time must not starve the others.
    fn poll_all(&mut self, deadline: Option<Instant>, with_server: bool) -> Result<Option<Ready>, ClientError> {
        let mut fds: Vec<PollFd<'_>> = self.own_vectors.iter().map(|fd| PollFd::new(fd, PollFlags::IN)).collect();
        if with_server {
            fds.push(PollFd::from_borrowed_fd(self.connection.as_fd(), PollFlags::IN));
        }
        loop {
            let timeout = deadline.map(deadline::remaining);
            match poll(&mut fds, timeout.as_ref()) {
                Ok(0) => return Ok(None),
                Ok(_) => break,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(ClientError::Poll(errno.into())),
            }
        }
        let count = fds.len();
        let ready = (0..count).map(|i| (self.next_polled + i) % count).find(|&i| !fds[i].revents().is_empty());
        let Some(index) = ready else { return Ok(None) };
        self.next_polled = index + 1;
        Ok(Some(match u16::try_from(index) {
            Ok(vector) if index < self.own_vectors.len() => Ready::Doorbell(Vector(vector)),
            _ => Ready::Server,
        }))
    }

    /// Clears all pending rings and returns their number.
    pub fn drain(&self) -> Result<u64, ClientError> {
        let mut rings = 0;
        for vector in (0..).take(self.own_vectors.len()).map(Vector) {
            rings += self.wait(vector, Some(Duration::ZERO))?.unwrap_or(0);
        }
        Ok(rings)
    }
}

enum Ready {
    Server,
    Doorbell(Vector),
}
