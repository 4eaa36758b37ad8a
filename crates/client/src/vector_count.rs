//! How many vectors each peer has: what can be known of it, and which messages it rules out.
//!
//! No message says the number, but all peers of a server have the same, and the server tells of one peer after the other.
//! So the first whose vectors are followed by somebody else's tells the number for all. From then on a vector too many and
//! one too few are seen, where a client that only counter would ring the wrong doorbell for ever after.

use proto::wire::{PeerId, Vector};

/// The most vectors that a peer can have. More are of no use (QEMU without ioeventfd looks at eight bits only), and a
/// client must not hold as many descriptors as a server likes to send.
pub(super) const MAX_VECTORS: usize = 256;

/// A message that does not fit the number of vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum VectorCountError {
    /// One more vector of a peer, where everybody has `each`.
    Surplus { peer: PeerId, each: usize },
    /// Somebody else's message, or none, where vectors of a peer were still to come.
    CutShort { peer: PeerId, received: usize, each: usize },
    /// More vectors of a peer than there can be.
    TooMany { peer: PeerId },
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct VectorCounter {
    /// Whose vectors came last, and how many; more of them may come. Whoever is known beside has all of its vectors.
    current: Option<(PeerId, usize)>,
    /// How many vectors everybody has, if that is known.
    each: Option<usize>,
}

impl VectorCounter {
    /// A vector of a peer, or of the client itself, has come.
    pub(super) fn add(&mut self, peer: PeerId, vector: Vector) -> Result<(), VectorCountError> {
        if self.current.is_some_and(|(current, _)| current != peer) {
            self.close()?;
        }
        let count = usize::from(vector.0) + 1;
        match self.each {
            Some(each) if count > each => return Err(VectorCountError::Surplus { peer, each }),
            None if count > MAX_VECTORS => return Err(VectorCountError::TooMany { peer }),
            _ => self.current = Some((peer, count)),
        }
        Ok(())
    }

    /// A peer has left. Of one who leaves right after its vectors nobody knows whether these were all.
    pub(super) fn leave(&mut self, peer: PeerId) -> Result<(), VectorCountError> {
        if self.current.is_some_and(|(current, _)| current == peer) {
            self.current = None;
            return Ok(());
        }
        self.close()
    }

    /// How many vectors everybody has, if that is known.
    pub(super) fn vectors_per_peer(&self) -> Option<usize> {
        self.each
    }

    /// Who lacks vectors: the message that is missing next is one of its.
    pub(super) fn unfinished(&self) -> Option<VectorCountError> {
        let ((peer, received), each) = self.current.zip(self.each)?;
        (received < each).then_some(VectorCountError::CutShort { peer, received, each })
    }

    /// The server speaks of somebody else, so the current peer has all of its vectors.
    fn close(&mut self) -> Result<(), VectorCountError> {
        if let Some(cut_short) = self.unfinished() {
            return Err(cut_short);
        }
        if let Some((_, count)) = self.current.take() {
            self.each.get_or_insert(count);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: PeerId = PeerId(1);
    const FIVE: PeerId = PeerId(5);

    /// What becomes of so many vectors of peers, one peer after the other.
    fn told(batches: &[(PeerId, std::ops::Range<u16>)]) -> (VectorCounter, Result<(), VectorCountError>) {
        let mut counter = VectorCounter::default();
        let vectors = batches.iter().flat_map(|(peer, range)| range.clone().map(|vector| (*peer, Vector(vector))));
        let outcome = vectors.into_iter().try_for_each(|(peer, vector)| counter.add(peer, vector));
        (counter, outcome)
    }

    #[test]
    fn the_first_who_is_followed_by_another_tells_the_number() {
        let (counter, outcome) = told(&[(ONE, 0..3)]);
        assert_eq!((counter.vectors_per_peer(), outcome), (None, Ok(())));
        let (counter, outcome) = told(&[(ONE, 0..3), (FIVE, 0..1)]);
        assert_eq!((counter.vectors_per_peer(), outcome), (Some(3), Ok(())));
        assert_eq!(counter.unfinished(), Some(VectorCountError::CutShort { peer: FIVE, received: 1, each: 3 }));
        let (counter, outcome) = told(&[(ONE, 0..3), (FIVE, 0..3)]);
        assert_eq!((counter.unfinished(), outcome), (None, Ok(())));
    }

    #[test]
    fn a_vector_too_many_is_named_whenever_it_comes() {
        let surplus = |peer| Err(VectorCountError::Surplus { peer, each: 2 });
        assert_eq!(told(&[(ONE, 0..2), (FIVE, 0..3)]).1, surplus(FIVE));
        assert_eq!(told(&[(ONE, 0..2), (FIVE, 0..2), (ONE, 2..3)]).1, surplus(ONE));
        assert_eq!(told(&[(ONE, 0..256)]).1, Ok(()));
        assert_eq!(told(&[(ONE, 0..257)]).1, Err(VectorCountError::TooMany { peer: ONE }));
    }

    #[test]
    fn whoever_comes_or_goes_between_the_vectors_of_another_is_refused() {
        let cut_short = Err(VectorCountError::CutShort { peer: FIVE, received: 1, each: 2 });
        assert_eq!(told(&[(ONE, 0..2), (FIVE, 0..1), (PeerId(7), 0..1)]).1, cut_short);
        let (mut counter, _) = told(&[(ONE, 0..2), (FIVE, 0..1)]);
        assert_eq!(counter.leave(ONE), cut_short);
    }

    #[test]
    fn one_who_leaves_right_after_its_vectors_says_nothing_of_the_number() {
        let (mut counter, _) = told(&[(ONE, 0..1)]);
        assert_eq!((counter.leave(ONE), counter.vectors_per_peer()), (Ok(()), None));
        let (mut counter, _) = told(&[(ONE, 0..2), (FIVE, 0..1)]);
        assert_eq!((counter.leave(FIVE), counter.unfinished()), (Ok(()), None));
    }
}
