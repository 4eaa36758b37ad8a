//! The present peers, and the notifications for each client. The registry uses no sockets: each client's task takes batches
//! of notifications from it and sends them.
//!
//! Joins and leaves are numbered in order, and stored once for all clients instead of in a queue for each. A join is the
//! member itself, so a client gets no notification of a peer that left before. A departure is stored as long as a live client
//! was notified of the peer, which is as long as its [id is held](ids). So a client that does not read uses no memory, and at
//! most 65,536 departures are stored, however many peers join and leave.

mod client_view;
mod ids;

use std::collections::{BTreeMap, VecDeque};
use std::hint::black_box;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Weak};
use std::time::SystemTime;

use proto::status::PeerStatus;
use proto::wire::PeerId;
use rustix::event::{EventfdFlags, eventfd};
use thiserror::Error;

use crate::access::Credentials;
pub(crate) use client_view::ClientView;
use client_view::{ClientStats, HandshakePhase};
use ids::{EventNumber, IDS, Ids};

/// Bytes that must be available for a new client, and for the notifications to all others: a later allocation failure would
/// end the process. About 2,000 peers use this much when all have many notifications pending.
const HEADROOM: usize = 16 << 20;

/// A notification for one client.
#[derive(Debug)]
pub(crate) enum Notification {
    /// The protocol version.
    Version,
    /// The client's own id.
    OwnId(PeerId),
    /// The shared memory. Each client gets its own open file description. It is opened only for sending, because waiting
    /// clients must not hold more descriptors than they were counted with.
    Memory(Arc<OwnedFd>),
    /// The doorbells of a peer, or of the client itself: one for each vector.
    Doorbells(Doorbells),
    /// A peer left.
    Left(PeerId),
}

/// A peer's eventfds, while that peer is present. A client that does not read must not keep the descriptors of peers that
/// left.
#[derive(Debug, Clone)]
pub(crate) struct Doorbells {
    pub(crate) peer: PeerId,
    pub(crate) eventfds: Weak<[OwnedFd]>,
}

/// Why a client cannot join.
#[derive(Debug, Error)]
pub(crate) enum JoinError {
    #[error("peer limit ({0}) reached")]
    Full(usize),
    #[error(
        "no id is free: the ids of peers that left are held until every peer that was notified of them has left, too{}",
        .0.as_ref().map_or_else(String::new, |holder| format!(". {holder}"))
    )]
    OutOfIds(Option<String>),
    #[error("the server has less than {} MiB of memory left: raise its limit (ulimit -v, the machine's memory)", HEADROOM >> 20)]
    NoMemory,
    #[error("cannot create its eventfds: {0}")]
    Eventfd(io::Error),
}

/// Whether there are notifications for a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Batch {
    /// Notifications to send.
    Ready,
    /// Nothing to send until the next join or leave.
    Empty,
    /// Nothing more to send: the server stops.
    Closed,
}

#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
struct Member {
    id: PeerId,
    eventfds: Arc<[OwnedFd]>,
    credentials: Credentials,
    since: SystemTime,
    stats: Arc<ClientStats>,
}

impl Member {
    /// The peer with its process, for messages.
    fn name(&self) -> String {
        let process = self.credentials.pid.map_or_else(String::new, |pid| format!(" (process {pid})"));
        format!("peer {}{process}", self.id)
    }
}

/// All present peers.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub(crate) struct Registry {
    memory: Arc<OwnedFd>,
    vectors: u16,
    max_peers: usize,
    ids: Ids,
    /// The number of the next join or leave.
    now: EventNumber,
    /// Present peers, by the number of their join.
    members: BTreeMap<EventNumber, Member>,
    /// Peers that left and that a live client was notified of, by the number of their leave.
    departures: BTreeMap<EventNumber, PeerId>,
    is_closed: bool,
}

impl Registry {
    pub(crate) fn new(memory: Arc<OwnedFd>, vectors: u16, max_peers: usize) -> Self {
        let (ids, members, departures) = Default::default();
        Self { memory, vectors, max_peers, ids, now: 0, members, departures, is_closed: false }
    }

    pub(crate) fn max_peers(&self) -> usize {
        self.max_peers
    }

    /// The id of the next peer; 65536 if no id is free.
    pub(crate) fn next_id(&self) -> u32 {
        self.ids.next().map_or(IDS, |id| id.0.into())
    }

    pub(crate) fn free_ids(&self) -> u32 {
        self.ids.free()
    }

    /// Ids of peers that left, held because live clients were notified of those peers.
    pub(crate) fn held_ids(&self) -> u32 {
        let present = u32::try_from(self.members.len()).unwrap_or(IDS);
        IDS.saturating_sub(self.ids.free()).saturating_sub(present)
    }

    /// The number of present peers.
    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    /// Adds a client with the lowest free id.
    pub(crate) fn join(&mut self, credentials: Credentials) -> Result<ClientView, JoinError> {
        if self.members.len() >= self.max_peers {
            return Err(JoinError::Full(self.max_peers));
        }
        if !is_memory_available(HEADROOM) {
            return Err(JoinError::NoMemory);
        }
        let eventfds =
            (0..self.vectors).map(|_| new_eventfd()).collect::<io::Result<Arc<[_]>>>().map_err(JoinError::Eventfd)?;
        let Some(id) = self.ids.allocate() else {
            return Err(JoinError::OutOfIds(self.id_holder()));
        };
        let joined = self.next_event();
        let view = ClientView::new(id, joined, Doorbells { peer: id, eventfds: Arc::downgrade(&eventfds) });
        let stats = Arc::clone(&view.stats);
        self.members.insert(joined, Member { id, eventfds, credentials, since: SystemTime::now(), stats });
        Ok(view)
    }

    /// Removes a peer, and frees the ids that no other client was notified of. Its connection must be closed.
    pub(crate) fn leave(&mut self, view: &ClientView) {
        if self.members.remove(&view.joined).is_some() {
            self.depart(view.id);
        }
        for id in view.notified.iter().filter_map(|id| u16::try_from(id).ok()) {
            if let Some(departed) = self.ids.remove_notified(PeerId(id)) {
                self.departures.remove(&departed);
            }
        }
    }

    /// Notifies each client that all others left. The caller must keep the returned doorbells until all messages are sent.
    #[must_use]
    pub(crate) fn close_all(&mut self) -> Vec<Arc<[OwnedFd]>> {
        self.is_closed = true;
        let members = std::mem::take(&mut self.members);
        for member in members.values() {
            self.depart(member.id);
        }
        members.into_values().map(|member| member.eventfds).collect()
    }

    fn depart(&mut self, id: PeerId) {
        let event = self.next_event();
        self.ids.depart(id, event);
        self.departures.insert(event, id);
    }

    fn next_event(&mut self) -> EventNumber {
        self.now += 1;
        self.now - 1
    }

    /// Appends the next notifications for a client, up to `limit`. It counts as notified from now on, even if they are not
    /// sent.
    pub(crate) fn next_batch(
        &mut self,
        limit: usize,
        view: &mut ClientView,
        notifications: &mut VecDeque<Notification>,
    ) -> Batch {
        while notifications.len() < limit {
            match view.phase {
                HandshakePhase::Init => {
                    notifications.extend([
                        Notification::Version,
                        Notification::OwnId(view.id),
                        Notification::Memory(Arc::clone(&self.memory)),
                    ]);
                    view.phase = HandshakePhase::PeerList;
                }
                HandshakePhase::PeerList => {
                    if let Some(notification) = self.next_join(view, view.joined) {
                        notifications.push_back(notification);
                    } else {
                        notifications.push_back(Notification::Doorbells(view.own.clone()));
                        view.joins_from = view.joined + 1;
                        view.phase = HandshakePhase::Updates;
                    }
                }
                // The usual end. No departure is left either, because joins are taken only up to the next departure.
                HandshakePhase::Updates if view.joins_from == self.now => break,
                HandshakePhase::Updates => {
                    let departure = self.next_departure(view);
                    let until = departure.map_or(self.now, |(event, _)| event);
                    if let Some(notification) = self.next_join(view, until) {
                        notifications.push_back(notification);
                    } else if let Some((event, peer)) = departure {
                        view.present.remove(peer.0.into());
                        notifications.push_back(Notification::Left(peer));
                        view.departures_from = event + 1;
                    } else {
                        view.joins_from = self.now;
                    }
                }
            }
        }
        view.publish();
        match (notifications.is_empty(), self.is_closed) {
            (false, _) => Batch::Ready,
            (true, true) => Batch::Closed,
            (true, false) => Batch::Empty,
        }
    }

    /// The next present peer that joined before `until`. The client counts as notified of it from now on.
    fn next_join(&mut self, view: &mut ClientView, until: EventNumber) -> Option<Notification> {
        let (&joined, member) = self.members.range(view.joins_from.min(until)..until).next()?;
        view.joins_from = joined + 1;
        view.present.insert(member.id.0.into());
        if view.add_notified(member.id) {
            self.ids.add_notified(member.id);
        }
        let eventfds = Arc::downgrade(&member.eventfds);
        Some(Notification::Doorbells(Doorbells { peer: member.id, eventfds }))
    }

    /// The next departure of a peer that the client was notified of. Skips the others permanently.
    fn next_departure(&self, view: &mut ClientView) -> Option<(EventNumber, PeerId)> {
        let mut departures = self.departures.range(view.departures_from..).map(|(&event, &peer)| (event, peer));
        let next = departures.find(|&(_, peer)| view.present.contains(peer.0.into()));
        view.departures_from = next.map_or(self.now, |(event, _)| event);
        next
    }

    /// The first present peers with their processes, and the number of the others, for a log line.
    pub(crate) fn at_risk(&self) -> String {
        const MAX_NAMED: usize = 16;
        let named: Vec<String> = self.members.values().take(MAX_NAMED).map(Member::name).collect();
        match self.members.len() {
            0 => "no peer".into(),
            count if count > MAX_NAMED => format!("{} and {} others", named.join(", "), count - MAX_NAMED),
            _ => named.join(", "),
        }
    }

    /// The present peer that was notified of the most ids, which are held until it leaves, as a hint.
    fn id_holder(&self) -> Option<String> {
        let notified = |member: &&Member| member.stats.notified.load(Relaxed);
        let holder = self.members.values().max_by_key(notified)?;
        Some(format!("Stop or restart {}, which was notified of {} ids", holder.name(), notified(&holder)))
    }

    /// The present peers by id, for the status.
    pub(crate) fn peers(&self) -> Vec<PeerStatus> {
        let mut peers: Vec<_> = self.members.iter().map(|(&joined, member)| self.peer(joined, member)).collect();
        peers.sort_by_key(|peer| peer.id);
        peers
    }

    fn peer(&self, joined: EventNumber, member: &Member) -> PeerStatus {
        let stats = &member.stats;
        let joins = self.members.range(stats.joins_from.load(Relaxed)..).filter(|&(&event, _)| event != joined);
        let departures = self.departures.range(stats.departures_from.load(Relaxed)..);
        let Credentials { pid, uid, gid } = member.credentials;
        PeerStatus {
            id: member.id.0,
            pid,
            uid,
            gid,
            vectors: self.vectors,
            connected_since: humantime::format_rfc3339_seconds(member.since).to_string(),
            queued_notices: joins.count() + departures.count() + stats.unsent.load(Relaxed),
            messages_sent: stats.messages.load(Relaxed),
            notified_ids: stats.notified.load(Relaxed),
        }
    }
}

/// Whether this many bytes could be allocated. The pages are not touched, so this checks only the limits of the process and
/// the kernel's accounting. With overcommitment the kernel may still end a process later.
fn is_memory_available(bytes: usize) -> bool {
    let mut buffer = Vec::<u8>::new();
    let is_available = buffer.try_reserve_exact(bytes).is_ok();
    // Otherwise the compiler may remove the unused allocation and assume success.
    black_box(&buffer);
    is_available
}

/// Creates a doorbell ([eventfd(2)](https://man7.org/linux/man-pages/man2/eventfd.2.html)). Non-blocking, because QEMU sets
/// this flag when it receives one, for all holders of the eventfd: a flag that changed during use would surprise them.
pub(crate) fn new_eventfd() -> io::Result<OwnedFd> {
    Ok(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?)
}

#[cfg(test)]
mod tests;
