//! Allocates peer ids, and reuses an id only when this is safe.
//!
//! QEMU's device keeps an entry for each id that it was notified of. It frees the entry's eventfds at the disconnect notice,
//! and uses the freed memory when the id appears again. So an id is held until every client that was notified of its former
//! owner has left. Then no live client has an entry for it, and the next client may get it.

use std::collections::BTreeSet;

use proto::wire::PeerId;

/// A point in the order of joins and leaves.
pub(crate) type EventNumber = u64;

/// The number of ids.
pub(crate) const IDS: u32 = 1 << u16::BITS;

/// All ids. The lowest free one is allocated next.
#[derive(Debug, Default)]
#[cfg_attr(test, derive(Clone))]
pub(crate) struct Ids {
    /// One for each id that was ever allocated. Ids from `states.len()` on are free.
    states: Vec<IdState>,
    /// The free ids below `states.len()`.
    returned: BTreeSet<PeerId>,
}

#[derive(Debug, Default)]
#[cfg_attr(test, derive(Clone))]
struct IdState {
    /// Live clients that were notified of the owner, including itself.
    notified: u32,
    /// When the owner left.
    departed: Option<EventNumber>,
}

impl Ids {
    /// The id that [`allocate`](Self::allocate) returns next; `None` if no id is free.
    pub(crate) fn next(&self) -> Option<PeerId> {
        let fresh = u16::try_from(self.states.len()).ok().map(PeerId);
        self.returned.first().copied().or(fresh)
    }

    /// Takes the lowest free id. Its owner counts as notified of it.
    pub(crate) fn allocate(&mut self) -> Option<PeerId> {
        let id = self.next()?;
        let state = IdState { notified: 1, departed: None };
        if self.returned.remove(&id) {
            self.states[usize::from(id.0)] = state;
        } else {
            self.states.push(state);
        }
        Some(id)
    }

    /// Counts one more client that was notified of the owner of `id`.
    pub(crate) fn add_notified(&mut self, id: PeerId) {
        self.state(id).notified += 1;
    }

    /// The owner of `id` left.
    pub(crate) fn depart(&mut self, id: PeerId, at: EventNumber) {
        self.state(id).departed = Some(at);
    }

    /// A client that was notified of the owner of `id` left. If it was the last one, frees the id and returns the number of the
    /// owner's departure, which no live client needs any more.
    pub(crate) fn remove_notified(&mut self, id: PeerId) -> Option<EventNumber> {
        let state = self.state(id);
        state.notified -= 1;
        if state.notified > 0 {
            return None;
        }
        let departed = state.departed.take();
        self.returned.insert(id);
        departed
    }

    pub(crate) fn free(&self) -> u32 {
        // There are at most 65,536 entries.
        let states = u32::try_from(self.states.len()).unwrap_or(IDS);
        let returned = u32::try_from(self.returned.len()).unwrap_or(IDS);
        IDS - states + returned
    }

    fn state(&mut self, PeerId(id): PeerId) -> &mut IdState {
        &mut self.states[usize::from(id)]
    }

    /// The unsafe policy, to verify the model: frees an id as soon as its owner left.
    #[cfg(test)]
    pub(crate) fn free_at_once(&mut self, id: PeerId) {
        self.returned.insert(id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allocates_the_lowest_free_id() {
        let mut ids = Ids::default();
        let all: Vec<_> = (0..4).map(|_| ids.allocate().unwrap()).collect();
        assert_eq!(all, [0, 1, 2, 3].map(PeerId));
        for id in [2, 0] {
            ids.depart(PeerId(id), 9);
            assert_eq!(ids.remove_notified(PeerId(id)), Some(9));
        }
        assert_eq!([(); 3].map(|()| ids.allocate().unwrap()), [0, 2, 4].map(PeerId));
    }

    #[test]
    fn holds_an_id_until_the_last_notified_client_left() {
        let mut ids = Ids::default();
        let id = ids.allocate().unwrap();
        ids.add_notified(id);
        ids.add_notified(id);
        ids.depart(id, 7);
        assert_eq!(ids.remove_notified(id), None, "the owner");
        assert_eq!(ids.remove_notified(id), None, "one of the others");
        assert_eq!((ids.next(), ids.free()), (Some(PeerId(1)), IDS - 1));
        assert_eq!(ids.remove_notified(id), Some(7));
        assert_eq!((ids.next(), ids.free()), (Some(id), IDS));
    }

    #[test]
    fn allocates_all_ids_of_the_protocol() {
        let mut ids = Ids::default();
        assert!((0..=u16::MAX).all(|id| ids.allocate() == Some(PeerId(id))));
        assert_eq!((ids.allocate(), ids.free()), (None, 0));
        assert_eq!(ids.remove_notified(PeerId(u16::MAX)), None);
        assert_eq!((ids.free(), ids.allocate()), (1, Some(PeerId(u16::MAX))));
    }
}
