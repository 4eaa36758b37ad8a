//! Generates frames with unique content and their hashes, outside the measured interval.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use sha2::{Digest, Sha256};

/// A frame in private memory.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) bytes: Vec<u8>,
    pub(crate) sha256: [u8; 32],
}

/// Generates frames from a seed.
#[derive(Debug)]
pub(crate) struct FrameGenerator {
    rng: StdRng,
    frame: Frame,
}

impl FrameGenerator {
    pub(crate) fn new(seed: u64) -> Self {
        Self { rng: StdRng::seed_from_u64(seed), frame: Frame { bytes: Vec::new(), sha256: [0; 32] } }
    }

    /// A frame of `len` random bytes, different from all others.
    pub(crate) fn next_frame(&mut self, len: usize) -> &Frame {
        self.frame.bytes.resize(len, 0);
        self.rng.fill_bytes(&mut self.frame.bytes);
        self.frame.sha256 = Sha256::digest(&self.frame.bytes).into();
        &self.frame
    }

    /// A frame that differs in one bit from its hash.
    pub(crate) fn corrupted_frame(&mut self, len: usize) -> &Frame {
        self.next_frame(len);
        self.frame.bytes[len / 2] ^= 1;
        &self.frame
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_unique_and_match_their_hash() {
        let mut frames = FrameGenerator::new(1);
        let first = frames.next_frame(1000).bytes.clone();
        let second = frames.next_frame(1000);
        assert_ne!(first, second.bytes);
        assert_eq!(second.sha256, <[u8; 32]>::from(Sha256::digest(&second.bytes)));
    }

    #[test]
    fn corrupted_frame_does_not_match_its_hash() {
        let mut frames = FrameGenerator::new(1);
        let frame = frames.corrupted_frame(1000);
        assert_ne!(frame.sha256, <[u8; 32]>::from(Sha256::digest(&frame.bytes)));
    }

    #[test]
    fn same_seed_gives_same_frames() {
        assert_eq!(FrameGenerator::new(5).next_frame(64).bytes, FrameGenerator::new(5).next_frame(64).bytes);
    }
}
