//! Who is there, who came and who left. It talks to no socket: each client's task asks what its client must be told
//! next, and sends it.
//!
//! News are kept once for all, not in a queue for each client: an id comes once and leaves once, so there are never more
//! than 131,072 of them, and a client that does not read costs no memory. One who left before a client heard of it is
//! left out for that client.

use std::collections::{BTreeMap, VecDeque};
use std::hint::black_box;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Weak};
use std::time::SystemTime;

use proto::wire::PeerId;
use rustix::event::{EventfdFlags, eventfd};
use thiserror::Error;

use crate::access::Credentials;
use crate::status::PeerStatus;
use crate::view::{Progress, Stage, View};

/// One more than the largest id.
pub(crate) const IDS: u32 = 1 << u16::BITS;

/// Memory in bytes that must be left for a newcomer to be taken in: for it, and for what all others are told of it, since
/// an allocation that fails later ends the process. Some 2,000 peers take so much in a moment when all have much to hear.
const HEADROOM: usize = 16 << 20;

/// How many notices are drawn at a time.
const DRAW: usize = 64;

/// Something that a client is told.
#[derive(Debug)]
pub(crate) enum Notice {
    /// The protocol's version.
    Version,
    /// The client's own id.
    YouAre(PeerId),
    /// The shared memory. Each client gets a description of its own, which is opened only when it is sent: clients that wait
    /// must not hold more descriptors than they were counted with.
    Memory(Arc<OwnedFd>),
    /// A peer's doorbells, all of its vectors; the client's own among them.
    Doorbells(Doorbells),
    /// A peer is gone.
    Left(PeerId),
}

/// A peer's eventfds as others know them: only for as long as the peer is there. A client that does not read must not
/// keep the descriptors of those who left.
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
    #[error("the server has less than {} MiB of memory left: raise its limit (ulimit -v, the machine's memory)", HEADROOM >> 20)]
    NoMemory,
    #[error("its eventfds cannot be made: {0}")]
    Eventfd(io::Error),
}

/// What there is to tell a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Drawn {
    /// What was drawn.
    Something,
    /// Nothing until there are news.
    Nothing,
    /// Nothing any more: the server stops.
    Over,
}

#[derive(Debug, Clone, Copy)]
enum News {
    Came(PeerId),
    Left(PeerId),
}

#[derive(Debug)]
struct Member {
    eventfds: Arc<[OwnedFd]>,
    credentials: Option<Credentials>,
    since: SystemTime,
    progress: Arc<Progress>,
}

/// All present peers.
#[derive(Debug)]
pub(crate) struct Registry {
    memory: Arc<OwnedFd>,
    vectors: u16,
    max_peers: usize,
    next_id: u32,
    members: BTreeMap<PeerId, Member>,
    news: Vec<News>,
    dissolved: bool,
}

impl Registry {
    pub(crate) fn new(memory: Arc<OwnedFd>, vectors: u16, max_peers: usize) -> Self {
        Self { memory, vectors, max_peers, next_id: 0, members: BTreeMap::new(), news: Vec::new(), dissolved: false }
    }

    /// Most peers at a time.
    pub(crate) fn max_peers(&self) -> usize {
        self.max_peers
    }

    /// The id of the next peer; 65536 when there is none left.
    pub(crate) fn next_id(&self) -> u32 {
        self.next_id
    }

    /// How many peers are there.
    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    /// Takes a client in. Ids are given out once: a device that hears of one again uses memory that it freed.
    pub(crate) fn join(&mut self, credentials: Option<Credentials>) -> Result<View, Refusal> {
        if self.members.len() >= self.max_peers {
            return Err(Refusal::Full(self.max_peers));
        }
        if !is_there_memory(HEADROOM) {
            return Err(Refusal::NoMemory);
        }
        let id = u16::try_from(self.next_id).map(PeerId).map_err(|_| Refusal::OutOfIds)?;
        let eventfds =
            (0..self.vectors).map(|_| new_eventfd()).collect::<io::Result<Arc<[_]>>>().map_err(Refusal::Eventfd)?;
        self.next_id += 1;
        self.news.push(News::Came(id));
        let own = Doorbells { peer: id, eventfds: Arc::downgrade(&eventfds) };
        let view = View::new(id, own, self.news.len());
        let progress = Arc::clone(&view.progress);
        self.members.insert(id, Member { eventfds, credentials, since: SystemTime::now(), progress });
        Ok(view)
    }

    /// Takes a peer out.
    pub(crate) fn leave(&mut self, id: PeerId) {
        if self.members.remove(&id).is_some() {
            self.news.push(News::Left(id));
        }
    }

    /// Says to everybody that all left. The doorbells are returned: to be kept for as long as they may still be on
    /// their way.
    #[must_use]
    pub(crate) fn dissolve(&mut self) -> Vec<Arc<[OwnedFd]>> {
        self.dissolved = true;
        let members = std::mem::take(&mut self.members);
        self.news.extend(members.keys().map(|&id| News::Left(id)));
        members.into_values().map(|member| member.eventfds).collect()
    }

    /// Appends what a client must be told next.
    pub(crate) fn draw(&self, view: &mut View, notices: &mut VecDeque<Notice>) -> Drawn {
        while notices.len() < DRAW {
            match view.stage {
                Stage::Greeting => {
                    notices.extend([
                        Notice::Version,
                        Notice::YouAre(view.id),
                        Notice::Memory(Arc::clone(&self.memory)),
                    ]);
                    view.stage = Stage::Roster(0);
                }
                Stage::Roster(next) => {
                    if let Some((&peer, member)) = self.members.range(PeerId(next)..view.id).next() {
                        view.told.insert(peer);
                        notices.push_back(member.doorbells(peer));
                        view.stage = Stage::Roster(peer.0 + 1);
                    } else {
                        notices.push_back(Notice::Doorbells(view.own.clone()));
                        view.stage = Stage::News;
                    }
                }
                Stage::News => {
                    let Some(&news) = self.news.get(view.position) else {
                        break;
                    };
                    notices.extend(self.tell(view, news));
                    view.position += 1;
                }
            }
        }
        view.publish();
        match (notices.is_empty(), self.dissolved) {
            (false, _) => Drawn::Something,
            (true, true) => Drawn::Over,
            (true, false) => Drawn::Nothing,
        }
    }

    /// What a piece of news means to a client: nothing, if it concerns one who came and left unheard of.
    fn tell(&self, view: &mut View, news: News) -> Option<Notice> {
        match news {
            News::Came(peer) => {
                let member = self.members.get(&peer)?;
                view.told.insert(peer);
                Some(member.doorbells(peer))
            }
            News::Left(peer) => view.told.remove(peer).then_some(Notice::Left(peer)),
        }
    }

    /// Who is there, for the status.
    pub(crate) fn peers(&self) -> Vec<PeerStatus> {
        self.members.iter().map(|(&id, member)| self.peer(id, member)).collect()
    }

    fn peer(&self, id: PeerId, member: &Member) -> PeerStatus {
        let progress = &member.progress;
        let roster = u16::try_from(progress.roster.load(Relaxed))
            .map_or(0, |next| self.members.range(PeerId(next.min(id.0))..id).count());
        let news = self.news.len().saturating_sub(progress.position.load(Relaxed));
        let credentials = member.credentials;
        PeerStatus {
            id: id.0,
            pid: credentials.and_then(|credentials| credentials.pid),
            uid: credentials.map(|credentials| credentials.uid),
            gid: credentials.map(|credentials| credentials.gid),
            vectors: self.vectors,
            connected_since: humantime::format_rfc3339_seconds(member.since).to_string(),
            queued_notices: roster + news + progress.in_hand.load(Relaxed),
            messages_sent: progress.messages.load(Relaxed),
        }
    }
}

impl Member {
    fn doorbells(&self, peer: PeerId) -> Notice {
        Notice::Doorbells(Doorbells { peer, eventfds: Arc::downgrade(&self.eventfds) })
    }
}

/// Whether so much could be allocated. No page of it is touched, so this asks for no more than the limits of the process
/// and the kernel's accounting; under overcommitment the kernel may still end a process later.
fn is_there_memory(bytes: usize) -> bool {
    let mut room = Vec::<u8>::new();
    let is_there = room.try_reserve_exact(bytes).is_ok();
    // Or the compiler may leave out an allocation that nobody uses, and call it granted.
    black_box(&room);
    is_there
}

/// A doorbell ([eventfd(2)](https://man7.org/linux/man-pages/man2/eventfd.2.html)). Non-blocking,
/// because QEMU makes it so for all holders as soon as it has it: better from the start.
pub(crate) fn new_eventfd() -> io::Result<OwnedFd> {
    Ok(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?)
}

#[cfg(test)]
mod tests;
