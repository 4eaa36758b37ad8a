//! The present peers, and which notices each client must be sent. It touches no socket: each client's task draws the
//! next notices for its client and sends them.
//!
//! Joins and leaves are ordered by stamps, and kept once for all clients, not in a queue for each. A join is the member
//! itself, so a peer that left before a client was notified of it is left out for that client. A departure is kept for as
//! long as a live client was notified of the peer, which is as long as its [id is held](crate::ids). So a client that
//! does not read costs no memory, and at most 65,536 departures are kept, however many peers come and go.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
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
use crate::ids::{IDS, Ids, Stamp};
use crate::status::PeerStatus;
use crate::view::{Progress, Stage, View};

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
    #[error("peer limit ({0}) reached")]
    Full(usize),
    #[error(
        "no id is free: the ids of peers that left are held until every peer that was notified of them has left, too{}",
        .0.map_or_else(String::new, |holder| format!(". {holder}"))
    )]
    OutOfIds(Option<Holder>),
    #[error("the server has less than {} MiB of memory left: raise its limit (ulimit -v, the machine's memory)", HEADROOM >> 20)]
    NoMemory,
    #[error("cannot create its eventfds: {0}")]
    Eventfd(io::Error),
}

/// A present peer that was notified of many ids, which therefore stay held until it leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Holder {
    peer: PeerId,
    pid: Option<i32>,
    /// How many ids it was notified of.
    ids: u32,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { peer, pid, ids } = self;
        let process = pid.map_or_else(String::new, |pid| format!(" (process {pid})"));
        write!(f, "Stop or restart peer {peer}{process}, which was notified of {ids} ids")
    }
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

#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
struct Member {
    id: PeerId,
    eventfds: Arc<[OwnedFd]>,
    credentials: Option<Credentials>,
    since: SystemTime,
    progress: Arc<Progress>,
}

/// All present peers.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub(crate) struct Registry {
    memory: Arc<OwnedFd>,
    vectors: u16,
    max_peers: usize,
    ids: Ids,
    /// The stamp of the next join or leave.
    now: Stamp,
    /// The present peers, by the stamp of their join.
    members: BTreeMap<Stamp, Member>,
    /// The peers that left and that a live client was notified of, by the stamp of their leave.
    departures: BTreeMap<Stamp, PeerId>,
    dissolved: bool,
}

impl Registry {
    pub(crate) fn new(memory: Arc<OwnedFd>, vectors: u16, max_peers: usize) -> Self {
        let (ids, members, departures) = Default::default();
        Self { memory, vectors, max_peers, ids, now: 0, members, departures, dissolved: false }
    }

    /// Most peers at a time.
    pub(crate) fn max_peers(&self) -> usize {
        self.max_peers
    }

    /// The id of the next peer; 65536 when none is free.
    pub(crate) fn next_id(&self) -> u32 {
        self.ids.next().map_or(IDS, |id| id.0.into())
    }

    /// How many ids are free.
    pub(crate) fn free_ids(&self) -> u32 {
        self.ids.free()
    }

    /// How many ids belong to peers that left, and are not free because live clients were notified of those.
    pub(crate) fn held_ids(&self) -> u32 {
        let present = u32::try_from(self.members.len()).unwrap_or(IDS);
        IDS.saturating_sub(self.ids.free()).saturating_sub(present)
    }

    /// How many peers are there.
    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    /// Takes a client in, under the lowest free id.
    pub(crate) fn join(&mut self, credentials: Option<Credentials>) -> Result<View, Refusal> {
        if self.members.len() >= self.max_peers {
            return Err(Refusal::Full(self.max_peers));
        }
        if !is_there_memory(HEADROOM) {
            return Err(Refusal::NoMemory);
        }
        let eventfds =
            (0..self.vectors).map(|_| new_eventfd()).collect::<io::Result<Arc<[_]>>>().map_err(Refusal::Eventfd)?;
        let Some(id) = self.ids.allocate() else {
            return Err(Refusal::OutOfIds(self.holder()));
        };
        let joined = self.stamp();
        let view = View::new(id, joined, Doorbells { peer: id, eventfds: Arc::downgrade(&eventfds) });
        let progress = Arc::clone(&view.progress);
        self.members.insert(joined, Member { id, eventfds, credentials, since: SystemTime::now(), progress });
        Ok(view)
    }

    /// Takes a peer out, and frees the ids that only it was still notified of. Nothing may be sent to its client any more.
    pub(crate) fn leave(&mut self, view: &View) {
        if self.members.remove(&view.joined).is_some() {
            self.depart(view.id);
        }
        for id in view.notified.iter() {
            if let Some(departed) = self.ids.remove_notified(id) {
                self.departures.remove(&departed);
            }
        }
    }

    /// Notifies every client that all others left. The doorbells are returned: to be kept for as long as they may still
    /// be on their way.
    #[must_use]
    pub(crate) fn dissolve(&mut self) -> Vec<Arc<[OwnedFd]>> {
        self.dissolved = true;
        let members = std::mem::take(&mut self.members);
        for member in members.values() {
            self.depart(member.id);
        }
        members.into_values().map(|member| member.eventfds).collect()
    }

    fn depart(&mut self, id: PeerId) {
        let stamp = self.stamp();
        self.ids.depart(id, stamp);
        self.departures.insert(stamp, id);
    }

    fn stamp(&mut self) -> Stamp {
        self.now += 1;
        self.now - 1
    }

    /// Appends the next notices for a client. From here on it counts as notified, whether they are sent or not.
    pub(crate) fn draw(&mut self, view: &mut View, notices: &mut VecDeque<Notice>) -> Drawn {
        self.draw_up_to(DRAW, view, notices)
    }

    fn draw_up_to(&mut self, limit: usize, view: &mut View, notices: &mut VecDeque<Notice>) -> Drawn {
        while notices.len() < limit {
            match view.stage {
                Stage::Greeting => {
                    notices.extend([
                        Notice::Version,
                        Notice::YouAre(view.id),
                        Notice::Memory(Arc::clone(&self.memory)),
                    ]);
                    view.stage = Stage::PeerList;
                }
                Stage::PeerList => {
                    if let Some(notice) = self.next_join(view, view.joined) {
                        notices.push_back(notice);
                    } else {
                        notices.push_back(Notice::Doorbells(view.own.clone()));
                        view.joins_from = view.joined + 1;
                        view.stage = Stage::Notices;
                    }
                }
                // Joins are drawn up to the next departure only, so there is none left either. The usual end of a draw.
                Stage::Notices if view.joins_from == self.now => break,
                Stage::Notices => {
                    let departure = self.next_departure(view);
                    let until = departure.map_or(self.now, |(stamp, _)| stamp);
                    if let Some(notice) = self.next_join(view, until) {
                        notices.push_back(notice);
                    } else if let Some((stamp, peer)) = departure {
                        view.present.remove(peer);
                        notices.push_back(Notice::Left(peer));
                        view.departures_from = stamp + 1;
                    } else {
                        view.joins_from = self.now;
                    }
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

    /// The next present peer that joined before `until`. The client counts as notified of it.
    fn next_join(&mut self, view: &mut View, until: Stamp) -> Option<Notice> {
        let (&joined, member) = self.members.range(view.joins_from.min(until)..until).next()?;
        view.joins_from = joined + 1;
        view.present.insert(member.id);
        if view.notified.insert(member.id) {
            self.ids.add_notified(member.id);
        }
        let eventfds = Arc::downgrade(&member.eventfds);
        Some(Notice::Doorbells(Doorbells { peer: member.id, eventfds }))
    }

    /// The next departure of a peer that the client was notified of. Others never concern it and are passed for good.
    fn next_departure(&self, view: &mut View) -> Option<(Stamp, PeerId)> {
        let mut departures = self.departures.range(view.departures_from..).map(|(&stamp, &peer)| (stamp, peer));
        let next = departures.find(|&(_, peer)| view.present.contains(peer));
        view.departures_from = next.map_or(self.now, |(stamp, _)| stamp);
        next
    }

    /// The present peers with their processes, for a log line: the first ones, and how many others there are.
    pub(crate) fn at_risk(&self) -> String {
        const NAMED: usize = 16;
        let name = |member: &Member| match member.credentials.and_then(|credentials| credentials.pid) {
            Some(pid) => format!("peer {} (process {pid})", member.id),
            None => format!("peer {}", member.id),
        };
        let named: Vec<String> = self.members.values().take(NAMED).map(name).collect();
        match self.members.len() {
            0 => "no peer".into(),
            count if count > NAMED => format!("{} and {} others", named.join(", "), count - NAMED),
            _ => named.join(", "),
        }
    }

    /// The present peer that was notified of the most ids.
    fn holder(&self) -> Option<Holder> {
        let holders = self.members.values().map(|member| Holder {
            peer: member.id,
            pid: member.credentials.and_then(|credentials| credentials.pid),
            ids: member.progress.notified.load(Relaxed),
        });
        holders.max_by_key(|holder| holder.ids)
    }

    /// The present peers by id, for the status.
    pub(crate) fn peers(&self) -> Vec<PeerStatus> {
        let mut peers: Vec<_> = self.members.iter().map(|(&joined, member)| self.peer(joined, member)).collect();
        peers.sort_by_key(|peer| peer.id);
        peers
    }

    fn peer(&self, joined: Stamp, member: &Member) -> PeerStatus {
        let progress = &member.progress;
        let joins = self.members.range(progress.joins_from.load(Relaxed)..).filter(|&(&stamp, _)| stamp != joined);
        let departures = self.departures.range(progress.departures_from.load(Relaxed)..);
        let credentials = member.credentials;
        PeerStatus {
            id: member.id.0,
            pid: credentials.and_then(|credentials| credentials.pid),
            uid: credentials.map(|credentials| credentials.uid),
            gid: credentials.map(|credentials| credentials.gid),
            vectors: self.vectors,
            connected_since: humantime::format_rfc3339_seconds(member.since).to_string(),
            queued_notices: joins.count() + departures.count() + progress.in_hand.load(Relaxed),
            messages_sent: progress.messages.load(Relaxed),
            notified_ids: progress.notified.load(Relaxed),
        }
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
mod model;
#[cfg(test)]
mod tests;
