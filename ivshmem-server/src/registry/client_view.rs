//! The notifications that one client got, and its next ones.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use bit_set::BitSet;
use proto::wire::PeerId;

use super::Doorbells;
use super::ids::EventNumber;

/// Progress of a client's handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HandshakePhase {
    /// Not yet begun.
    Init,
    /// Sending the peers that joined before this client.
    PeerList,
    /// Complete: joins and leaves follow.
    Updates,
}

/// A client's view of the server: the notifications taken for it. Its outbox keeps those that are not sent yet.
///
/// [`Registry::join`](super::Registry::join) creates it and [`Registry::leave`](super::Registry::leave) needs it, so a client
/// joins and leaves once.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub(crate) struct ClientView {
    pub(crate) id: PeerId,
    /// When it joined.
    pub(crate) joined: EventNumber,
    pub(crate) own: Doorbells,
    pub(crate) phase: HandshakePhase,
    /// The first join of the registry's sequence that this client may still have to be notified of.
    pub(crate) joins_from: EventNumber,
    /// The first departure, likewise.
    pub(crate) departures_from: EventNumber,
    /// Other peers that are present for this client: it was notified of them and not of their leave.
    pub(crate) present: BitSet,
    /// All ids that this client was ever notified of, including its own. They get no new owner until it leaves.
    pub(crate) notified: BitSet,
    /// The number of these ids. Counting the bits of the set takes too long for each batch.
    notified_count: usize,
    pub(crate) stats: Arc<ClientStats>,
}

/// Statistics of a client for the server's status. Its task writes them. No decision depends on them.
#[derive(Debug, Default)]
pub(crate) struct ClientStats {
    /// Messages sent.
    pub(crate) messages: AtomicU64,
    /// Copies of the view's fields.
    pub(crate) joins_from: AtomicU64,
    pub(crate) departures_from: AtomicU64,
    pub(crate) notified: AtomicUsize,
    /// Notifications in its outbox.
    pub(crate) unsent: AtomicUsize,
}

impl ClientView {
    pub(crate) fn new(id: PeerId, joined: EventNumber, own: Doorbells) -> Self {
        let mut notified = BitSet::default();
        notified.insert(id.0.into());
        let stats = ClientStats { departures_from: joined.into(), ..ClientStats::default() };
        Self {
            id,
            joined,
            own,
            phase: HandshakePhase::Init,
            joins_from: 0,
            // It gets no notification of peers that left before it joined.
            departures_from: joined,
            present: BitSet::default(),
            notified,
            notified_count: 1,
            stats: Arc::new(stats),
        }
    }

    /// Counts the client as notified of an id. Returns whether it was not notified of it before.
    pub(crate) fn add_notified(&mut self, id: PeerId) -> bool {
        let is_new = self.notified.insert(id.0.into());
        self.notified_count += usize::from(is_new);
        is_new
    }

    /// Copies the statistics of this view for the status.
    pub(crate) fn publish(&self) {
        self.stats.joins_from.store(self.joins_from, Relaxed);
        self.stats.departures_from.store(self.departures_from, Relaxed);
        self.stats.notified.store(self.notified_count, Relaxed);
    }
}
