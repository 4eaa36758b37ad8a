//! Who is there, and who must be told what. It talks to no socket: what a client shall hear goes into
//! its queue, in order, and is sent by its own task.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Weak};

use proto::wire::PeerId;
use rustix::event::{EventfdFlags, eventfd};
use thiserror::Error;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// One more than the largest id.
const IDS: u32 = 1 << u16::BITS;

/// Something that a client is told.
#[derive(Debug)]
pub(crate) enum Notice {
    /// The protocol's version.
    Version,
    /// The client's own id.
    YouAre(PeerId),
    /// The shared memory.
    Memory(Arc<OwnedFd>),
    /// A peer's doorbells, all of its vectors; the client's own among them.
    Doorbells(Doorbells),
    /// A peer is gone.
    Left(PeerId),
}

/// A peer's eventfds as others know them: only for as long as the peer is there. A queue that nobody
/// drains must not keep the descriptors of those who left.
#[derive(Debug, Clone)]
pub(crate) struct Doorbells {
    /// Whose they are.
    pub(crate) peer: PeerId,
    /// One for each vector.
    pub(crate) eventfds: Weak<[OwnedFd]>,
}

/// Why a client is not taken in.
#[derive(Debug, Error)]
pub(crate) enum Refusal {
    #[error("all {0} places are taken")]
    Full(usize),
    #[error("all 65536 ids were given out, and none may come again in a server's life: restart the server")]
    OutOfIds,
    #[error("its eventfds cannot be made: {0}")]
    Eventfd(io::Error),
}

/// A client that was taken in.
#[derive(Debug)]
pub(crate) struct Seat {
    pub(crate) id: PeerId,
    pub(crate) notices: UnboundedReceiver<Notice>,
}

#[derive(Debug)]
struct Member {
    eventfds: Arc<[OwnedFd]>,
    notices: UnboundedSender<Notice>,
}

impl Member {
    /// Queues a notice. The receiver is gone when the connection is; that is dealt with when its task
    /// ends.
    fn tell(&self, notice: Notice) {
        let _ = self.notices.send(notice);
    }
}

/// All present peers.
#[derive(Debug)]
pub(crate) struct Registry {
    memory: Arc<OwnedFd>,
    vectors: u16,
    max_peers: usize,
    next_id: u32,
    members: BTreeMap<PeerId, Member>,
}

impl Registry {
    /// Most peers at a time.
    pub(crate) fn max_peers(&self) -> usize {
        self.max_peers
    }

    pub(crate) fn new(memory: Arc<OwnedFd>, vectors: u16, max_peers: usize) -> Self {
        Self { memory, vectors, max_peers, next_id: 0, members: BTreeMap::new() }
    }

    /// How many peers are there.
    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    /// Takes a client in and tells everybody. Ids are given out once: a device that hears of one again
    /// uses memory that it freed.
    pub(crate) fn join(&mut self) -> Result<Seat, Refusal> {
        if self.next_id == IDS {
            return Err(Refusal::OutOfIds);
        }
        if self.members.len() >= self.max_peers {
            return Err(Refusal::Full(self.max_peers));
        }
        let id = u16::try_from(self.next_id).map_err(|_| Refusal::OutOfIds)?;
        let id = PeerId(id);
        let eventfds =
            (0..self.vectors).map(|_| new_eventfd()).collect::<io::Result<Arc<[_]>>>().map_err(Refusal::Eventfd)?;
        self.next_id += 1;

        let (sender, notices) = unbounded_channel();
        let newcomer = Member { eventfds, notices: sender };
        newcomer.tell(Notice::Version);
        newcomer.tell(Notice::YouAre(id));
        newcomer.tell(Notice::Memory(Arc::clone(&self.memory)));
        let doorbells = Doorbells::of(id, &newcomer);
        for (&other_id, other) in &self.members {
            newcomer.tell(Notice::Doorbells(Doorbells::of(other_id, other)));
            other.tell(Notice::Doorbells(doorbells.clone()));
        }
        newcomer.tell(Notice::Doorbells(doorbells));
        self.members.insert(id, newcomer);
        Ok(Seat { id, notices })
    }

    /// Takes a peer out and tells all others, each of whom knew it.
    pub(crate) fn leave(&mut self, id: PeerId) {
        if self.members.remove(&id).is_some() {
            for other in self.members.values() {
                other.tell(Notice::Left(id));
            }
        }
    }

    /// Tells everybody that all others left, and closes the queues behind it. The doorbells are
    /// returned: to be kept for as long as the queues may still announce them.
    #[must_use]
    pub(crate) fn dissolve(&mut self) -> Vec<Arc<[OwnedFd]>> {
        let members = std::mem::take(&mut self.members);
        for (id, member) in &members {
            for leaving in members.keys().filter(|&leaving| leaving != id) {
                member.tell(Notice::Left(*leaving));
            }
        }
        members.into_values().map(|member| member.eventfds).collect()
    }
}

impl Doorbells {
    fn of(peer: PeerId, member: &Member) -> Self {
        Self { peer, eventfds: Arc::downgrade(&member.eventfds) }
    }
}

/// A doorbell ([eventfd(2)](https://man7.org/linux/man-pages/man2/eventfd.2.html)). Non-blocking,
/// because QEMU makes it so for all holders as soon as it has it: better from the start.
pub(crate) fn new_eventfd() -> io::Result<OwnedFd> {
    Ok(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registry(max_peers: usize) -> Registry {
        Registry::new(Arc::new(new_eventfd().unwrap()), 2, max_peers)
    }

    /// What a client was told, in short.
    fn told(seat: &mut Seat) -> String {
        let mut words = Vec::new();
        while let Ok(notice) = seat.notices.try_recv() {
            words.push(match notice {
                Notice::Version => "version".into(),
                Notice::YouAre(id) => format!("id {id}"),
                Notice::Memory(_) => "memory".into(),
                Notice::Doorbells(bells) => format!("+{}", bells.peer),
                Notice::Left(id) => format!("-{id}"),
            });
        }
        words.join(" ")
    }

    #[test]
    fn a_newcomer_hears_of_the_others_before_itself() {
        let mut registry = registry(9);
        let mut seats = [(); 3].map(|()| registry.join().unwrap());
        assert_eq!(told(&mut seats[0]), "version id 0 memory +0 +1 +2");
        assert_eq!(told(&mut seats[1]), "version id 1 memory +0 +1 +2");
        assert_eq!(told(&mut seats[2]), "version id 2 memory +0 +1 +2");
    }

    #[test]
    fn who_stays_hears_once_of_each_who_left() {
        let mut registry = registry(9);
        let mut seats = [(); 3].map(|()| registry.join().unwrap());
        told(&mut seats[2]);
        registry.leave(PeerId(1));
        registry.leave(PeerId(1));
        assert_eq!(told(&mut seats[2]), "-1");
    }

    #[test]
    fn at_the_end_everybody_hears_that_all_others_left() {
        let mut registry = registry(9);
        let mut seats = [(); 3].map(|()| registry.join().unwrap());
        for seat in &mut seats {
            told(seat);
        }
        let _kept = registry.dissolve();
        let words = seats.each_mut().map(told);
        assert_eq!(words, ["-1 -2", "-0 -2", "-0 -1"]);
        assert!(seats.iter().all(|seat| seat.notices.is_closed()));
    }

    #[test]
    fn a_place_becomes_free_again_but_an_id_does_not() {
        let mut registry = registry(2);
        let _seats = [(); 2].map(|()| registry.join().unwrap());
        assert!(matches!(registry.join(), Err(Refusal::Full(2))));
        registry.leave(PeerId(0));
        assert_eq!(registry.join().unwrap().id, PeerId(2));
    }

    #[test]
    fn after_the_last_id_nobody_is_taken_in() {
        let mut registry = registry(2);
        for expected in 0..=u16::MAX {
            let seat = registry.join().unwrap();
            assert_eq!(seat.id, PeerId(expected));
            registry.leave(seat.id);
        }
        assert!(matches!(registry.join(), Err(Refusal::OutOfIds)));
    }

    #[test]
    fn a_queue_that_nobody_drains_keeps_no_descriptors_of_those_who_left() {
        let mut registry = registry(9);
        let mut stuck = registry.join().unwrap();
        let other = registry.join().unwrap();
        registry.leave(other.id);
        let alive: Vec<bool> = std::iter::from_fn(|| stuck.notices.try_recv().ok())
            .filter_map(|notice| match notice {
                Notice::Doorbells(bells) => Some(bells.eventfds.upgrade().is_some()),
                _ => None,
            })
            .collect();
        assert_eq!(alive, [true, false]);
    }
}
