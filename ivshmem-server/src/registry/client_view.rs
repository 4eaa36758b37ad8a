//! What one client was notified of, and what it must be sent next.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};

use proto::wire::PeerId;

use super::Doorbells;
use super::ids::{IdSet, Stamp};

/// How far a client's handshake is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HandshakePhase {
    /// Not yet begun.
    Init,
    /// Sending the peers that joined before this client.
    PeerList,
    /// Complete: joins and leaves follow.
    Updates,
}

/// A client's view of the server: the notices that were drawn for it. Its outbox knows which of them are still unsent.
///
/// The registry hands it out at the join and takes it back at the leave, so a client joins and leaves once.
#[derive(Debug)]
#[cfg_attr(test, derive(Clone))]
pub(crate) struct ClientView {
    pub(crate) id: PeerId,
    /// When it joined.
    pub(crate) joined: Stamp,
    pub(crate) own: Doorbells,
    pub(crate) phase: HandshakePhase,
    /// Joins before this stamp were drawn for it, or do not concern it.
    pub(crate) joins_from: Stamp,
    /// The same of departures.
    pub(crate) departures_from: Stamp,
    /// The other peers that it was notified of and not of their leave.
    pub(crate) present: IdSet,
    /// All ids that it was ever notified of, its own among them. Until it leaves they belong to no other owner.
    pub(crate) notified: IdSet,
    pub(crate) stats: Arc<ClientStats>,
}

/// What the server's status shows of a client. Its task writes it; no decision depends on it.
#[derive(Debug, Default)]
pub(crate) struct ClientStats {
    /// Messages that its socket took.
    pub(crate) messages: AtomicU64,
    /// The view's fields of the same names.
    pub(crate) joins_from: AtomicU64,
    pub(crate) departures_from: AtomicU64,
    /// How many ids it was notified of.
    pub(crate) notified: AtomicU32,
    /// Notices that were drawn for it and are not yet sent.
    pub(crate) in_hand: AtomicUsize,
}

impl ClientView {
    pub(crate) fn new(id: PeerId, joined: Stamp, own: Doorbells) -> Self {
        let mut notified = IdSet::default();
        notified.insert(id);
        let stats = ClientStats { departures_from: joined.into(), ..ClientStats::default() };
        Self {
            id,
            joined,
            own,
            phase: HandshakePhase::Init,
            joins_from: 0,
            // What left before it joined, it will never be notified of.
            departures_from: joined,
            present: IdSet::default(),
            notified,
            stats: Arc::new(stats),
        }
    }

    /// Copies what the status shows of this view.
    pub(crate) fn publish(&self) {
        self.stats.joins_from.store(self.joins_from, Relaxed);
        self.stats.departures_from.store(self.departures_from, Relaxed);
        self.stats.notified.store(self.notified.len(), Relaxed);
    }
}
