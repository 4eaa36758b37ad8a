//! Waiting for doorbells and for the server at the same time.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use proto::wire::Vector;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use super::{Client, ClientError, ClientEvent, deadline, eventfd};

impl Client {
    /// Waits for whatever comes first: one of one's own doorbells, or news of the peers. `None` when the time is over;
    /// without a timeout it waits for ever. That the server is gone is an error, now and at every later call:
    /// [`wait_any`](Self::wait_any) waits for the doorbells alone, which go on without it.
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
                Ready::Server => self.queue_changes()?,
                Ready::Doorbell(vector) => {
                    if let Some(rings) = self.wait(vector, Some(Duration::ZERO))? {
                        return Ok(Some(ClientEvent::Rung { vector, rings }));
                    }
                }
            }
        }
    }

    /// Waits until any of one's own doorbells was rung, and says which, and how often since the last time.
    /// `None` when the time is over; without a timeout it waits for ever.
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

    /// Takes in what the server has said by now.
    fn queue_changes(&mut self) -> Result<(), ClientError> {
        let changes = self.poll_events(Duration::ZERO)?;
        self.queued.extend(changes);
        Ok(())
    }

    /// Which of the descriptors is readable; each time another one is asked first, so that a doorbell that rings all the
    /// time does not drown the others.
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

    /// Takes all rings that are waiting, so that a later wait hears only of later ones.
    pub fn drain(&self) -> Result<u64, ClientError> {
        let mut rings = 0;
        for (index, fd) in (0..).zip(&self.own_vectors) {
            let taken = eventfd::wait(fd.as_fd(), Some(Instant::now()));
            let taken = taken.map_err(|source| ClientError::Wait { vector: Vector(index), source })?;
            rings += taken.unwrap_or(0);
        }
        Ok(rings)
    }
}

enum Ready {
    Server,
    Doorbell(Vector),
}
