//! What one client was told of, and what it must be told next.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};

use proto::wire::PeerId;

use crate::registry::Doorbells;

/// The ids that a client was told of and believes to be there: a bit each.
#[derive(Debug, Default)]
pub(crate) struct Told(Vec<u64>);

impl Told {
    pub(crate) fn insert(&mut self, peer: PeerId) {
        let (word, bit) = Self::place(peer);
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= bit;
    }

    /// Whether it was there.
    pub(crate) fn remove(&mut self, peer: PeerId) -> bool {
        let (word, bit) = Self::place(peer);
        let Some(found) = self.0.get_mut(word) else {
            return false;
        };
        let was_there = *found & bit != 0;
        *found &= !bit;
        was_there
    }

    fn place(PeerId(id): PeerId) -> (usize, u64) {
        (usize::from(id / 64), 1 << (id % 64))
    }
}

/// How far a client's hand-over is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// It was told nothing.
    Greeting,
    /// It was told of those with ids below this one, who were there before it.
    Roster(u16),
    /// It was told its own vectors: what follows are news.
    News,
}

/// How a client sees the server. It says what was drawn for it; what of that is on its way, its outbox says.
#[derive(Debug)]
pub(crate) struct View {
    pub(crate) id: PeerId,
    pub(crate) own: Doorbells,
    pub(crate) stage: Stage,
    /// How many of the registry's news it has been told.
    pub(crate) position: usize,
    pub(crate) told: Told,
    pub(crate) progress: Arc<Progress>,
}

/// What the server's status says about a client; written by its task, read by others, of no effect.
#[derive(Debug)]
pub(crate) struct Progress {
    /// Messages that its socket took.
    pub(crate) messages: AtomicU64,
    /// Where it is in its roster; its own id or more: through.
    pub(crate) roster: AtomicU32,
    /// How many of the registry's news it has been told.
    pub(crate) position: AtomicUsize,
    /// Notices that were drawn for it and are not yet sent.
    pub(crate) in_hand: AtomicUsize,
}

impl View {
    pub(crate) fn new(id: PeerId, own: Doorbells, position: usize) -> Self {
        let progress = Progress {
            messages: AtomicU64::new(0),
            roster: AtomicU32::new(0),
            position: AtomicUsize::new(position),
            in_hand: AtomicUsize::new(0),
        };
        Self { id, own, stage: Stage::Greeting, position, told: Told::default(), progress: Arc::new(progress) }
    }

    /// Lets the status know where this view is.
    pub(crate) fn publish(&self) {
        let roster = match self.stage {
            Stage::Greeting => 0,
            Stage::Roster(next) => next.into(),
            Stage::News => u32::MAX,
        };
        self.progress.roster.store(roster, Relaxed);
        self.progress.position.store(self.position, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_told_of_is_taken_out_once() {
        let mut told = Told::default();
        for id in [0, 63, 64, u16::MAX] {
            assert!(!told.remove(PeerId(id)), "{id}");
            told.insert(PeerId(id));
            assert!(told.remove(PeerId(id)), "{id}");
            assert!(!told.remove(PeerId(id)), "{id}");
        }
    }
}
