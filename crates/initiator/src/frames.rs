//! Frames: unique content, and its hash, made outside the measured span.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use sha2::{Digest, Sha256};

/// A frame in private memory.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) bytes: Vec<u8>,
    pub(super) sha256: [u8; 32],
}

/// Makes frames from one seed.
#[derive(Debug)]
pub(super) struct Camera {
    rng: StdRng,
    frame: Frame,
}

impl Camera {
    pub(super) fn new(seed: u64) -> Self {
        Self { rng: StdRng::seed_from_u64(seed), frame: Frame { bytes: Vec::new(), sha256: [0; 32] } }
    }

    /// A frame of `len` random bytes, different from every other.
    pub(super) fn shoot(&mut self, len: usize) -> &Frame {
        self.frame.bytes.resize(len, 0);
        self.rng.fill_bytes(&mut self.frame.bytes);
        self.frame.sha256 = Sha256::digest(&self.frame.bytes).into();
        &self.frame
    }

    /// A frame whose content differs in one bit from what its hash says.
    pub(super) fn shoot_corrupted(&mut self, len: usize) -> &Frame {
        self.shoot(len);
        self.frame.bytes[len / 2] ^= 1;
        &self.frame
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_frames_are_alike_and_each_matches_its_hash() {
        let mut camera = Camera::new(1);
        let first = camera.shoot(1000).bytes.clone();
        let second = camera.shoot(1000);
        assert_ne!(first, second.bytes);
        assert_eq!(second.sha256, <[u8; 32]>::from(Sha256::digest(&second.bytes)));
    }

    #[test]
    fn a_corrupted_frame_does_not_match_its_hash() {
        let mut camera = Camera::new(1);
        let frame = camera.shoot_corrupted(1000);
        assert_ne!(frame.sha256, <[u8; 32]>::from(Sha256::digest(&frame.bytes)));
    }

    #[test]
    fn the_same_seed_makes_the_same_frames() {
        assert_eq!(Camera::new(5).shoot(64).bytes, Camera::new(5).shoot(64).bytes);
    }
}
