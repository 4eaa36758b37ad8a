//! Infers the number of vectors per peer and rejects messages that contradict it.
//!
//! No message carries the number. But all peers of a server have the same number, and the server sends the vectors of
//! one peer after the other. The first peer whose vectors are followed by a message about another peer therefore gives
//! the number for all. From then on a surplus or missing vector is detected; otherwise the client would ring the wrong
//! doorbell.

use std::path::{Path, PathBuf};

use proto::wire::{PeerId, Vector};

use super::error::{ClientError, MAX_VECTORS};

/// Counts vectors message by message.
#[derive(Debug)]
pub(super) struct VectorCounter {
    /// The server's socket, for errors.
    path: PathBuf,
    /// The peer of the last vector and its vectors so far; more may follow. All other peers are complete.
    current: Option<(PeerId, usize)>,
    /// Vectors per peer, once known.
    each: Option<usize>,
}

impl VectorCounter {
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.into(), current: None, each: None }
    }

    /// Counts a vector of a peer or of this client.
    pub(super) fn add(&mut self, peer: PeerId, vector: Vector) -> Result<(), ClientError> {
        if self.current.is_some_and(|(current, _)| current != peer) {
            self.close()?;
        }
        let count = usize::from(vector.0) + 1;
        match self.each {
            Some(each) if count > each => {
                return Err(ClientError::SurplusVector { path: self.path.clone(), peer, each });
            }
            None if count > MAX_VECTORS => {
                return Err(ClientError::TooManyVectors { path: self.path.clone(), peer });
            }
            _ => self.current = Some((peer, count)),
        }
        Ok(())
    }

    /// Records that a peer left. If it leaves right after its vectors, they may have been incomplete.
    pub(super) fn leave(&mut self, peer: PeerId) -> Result<(), ClientError> {
        if self.current.is_some_and(|(current, _)| current == peer) {
            self.current = None;
            return Ok(());
        }
        self.close()
    }

    /// Vectors per peer, once known.
    pub(super) fn vectors_per_peer(&self) -> Option<usize> {
        self.each
    }

    /// The peer whose vectors are incomplete, as an error.
    pub(super) fn unfinished(&self) -> Option<ClientError> {
        let ((peer, received), each) = self.current.zip(self.each)?;
        (received < each).then(|| ClientError::MissingVectors { path: self.path.clone(), peer, received, each })
    }

    /// A message about another peer: the current peer must be complete.
    fn close(&mut self) -> Result<(), ClientError> {
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

    /// An error without its path: peer, vectors received, vectors of each peer.
    type Brief = (PeerId, Option<usize>, Option<usize>);

    fn brief(error: ClientError) -> Brief {
        match error {
            ClientError::SurplusVector { peer, each, .. } => (peer, None, Some(each)),
            ClientError::MissingVectors { peer, received, each, .. } => (peer, Some(received), Some(each)),
            ClientError::TooManyVectors { peer, .. } => (peer, None, None),
            other => panic!("{other}"),
        }
    }

    /// Feeds vectors to a counter, peer by peer.
    fn feed(batches: &[(PeerId, std::ops::Range<u16>)]) -> (VectorCounter, Result<(), Brief>) {
        let mut counter = VectorCounter::new(Path::new("socket"));
        let vectors = batches.iter().flat_map(|(peer, range)| range.clone().map(|vector| (*peer, Vector(vector))));
        let outcome = vectors.into_iter().try_for_each(|(peer, vector)| counter.add(peer, vector));
        (counter, outcome.map_err(brief))
    }

    #[test]
    fn first_peer_followed_by_another_gives_the_number() {
        let (counter, outcome) = feed(&[(ONE, 0..3)]);
        assert_eq!((counter.vectors_per_peer(), outcome), (None, Ok(())));
        let (counter, outcome) = feed(&[(ONE, 0..3), (FIVE, 0..1)]);
        assert_eq!((counter.vectors_per_peer(), outcome), (Some(3), Ok(())));
        assert_eq!(counter.unfinished().map(brief), Some((FIVE, Some(1), Some(3))));
        let (counter, outcome) = feed(&[(ONE, 0..3), (FIVE, 0..3)]);
        assert_eq!((counter.unfinished().map(brief), outcome), (None, Ok(())));
    }

    #[test]
    fn surplus_vector_is_an_error_at_any_time() {
        let surplus = |peer| Err((peer, None, Some(2)));
        assert_eq!(feed(&[(ONE, 0..2), (FIVE, 0..3)]).1, surplus(FIVE));
        assert_eq!(feed(&[(ONE, 0..2), (FIVE, 0..2), (ONE, 2..3)]).1, surplus(ONE));
        assert_eq!(feed(&[(ONE, 0..256)]).1, Ok(()));
        assert_eq!(feed(&[(ONE, 0..257)]).1, Err((ONE, None, None)));
    }

    #[test]
    fn other_peers_between_the_vectors_of_a_peer_are_an_error() {
        let cut_short = Err((FIVE, Some(1), Some(2)));
        assert_eq!(feed(&[(ONE, 0..2), (FIVE, 0..1), (PeerId(7), 0..1)]).1, cut_short);
        let (mut counter, _) = feed(&[(ONE, 0..2), (FIVE, 0..1)]);
        assert_eq!(counter.leave(ONE).map_err(brief), cut_short);
    }

    #[test]
    fn peer_that_leaves_right_away_gives_no_number() {
        let (mut counter, _) = feed(&[(ONE, 0..1)]);
        assert_eq!((counter.leave(ONE).map_err(brief), counter.vectors_per_peer()), (Ok(()), None));
        let (mut counter, _) = feed(&[(ONE, 0..2), (FIVE, 0..1)]);
        assert_eq!((counter.leave(FIVE).map_err(brief), counter.unfinished().map(brief)), (Ok(()), None));
    }
}
