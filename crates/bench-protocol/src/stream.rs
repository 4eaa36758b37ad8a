//! A stream's ring of slots, and the integrity check of a message.

use crate::memory_map::SLOTS;

/// Distinguishes a message's last word from its first.
const SEAL: u64 = 0x5a5a_5a5a_a5a5_a5a5;
/// Slots begin at a cache line.
const ALIGN: usize = 64;

/// Slots of equal size after the fixed part of the memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlotRing {
    slots: u64,
    /// Bytes per message.
    pub bytes: usize,
    stride: usize,
}

impl SlotRing {
    /// A ring of `slots` slots for messages of `bytes` bytes in a region of `region` bytes; `None` if it does not fit, or if
    /// a message is too short for the first and the last word.
    #[must_use]
    pub fn new(region: usize, slots: u64, bytes: u64) -> Option<Self> {
        let bytes = usize::try_from(bytes).ok().filter(|bytes| *bytes >= 16 && bytes.is_multiple_of(8))?;
        let stride = bytes.checked_next_multiple_of(ALIGN)?;
        let all = usize::try_from(slots).ok().filter(|slots| *slots > 0)?.checked_mul(stride)?;
        (SLOTS.checked_add(all)? <= region).then_some(Self { slots, bytes, stride })
    }

    /// Offset of a message's slot.
    #[must_use]
    #[inline]
    pub fn slot(&self, seq: u64) -> usize {
        // The remainder is below the number of slots, which fits a usize.
        #[expect(clippy::cast_possible_truncation, reason = "the remainder is below the number of slots")]
        let index = (seq % self.slots) as usize;
        SLOTS + index * self.stride
    }
}

/// Writes the sequence number to a message's first and last word.
#[inline]
pub fn stamp_ends(message: &mut [u8], seq: u64) {
    let last = message.len() - 8;
    message[..8].copy_from_slice(&seq.to_ne_bytes());
    message[last..].copy_from_slice(&(seq ^ SEAL).to_ne_bytes());
}

/// Whether both the first and the last word belong to this sequence number.
#[must_use]
#[inline]
pub fn is_intact(message: &[u8], seq: u64) -> bool {
    let word = |bytes: Option<&[u8; 8]>| bytes.copied().map(u64::from_ne_bytes);
    word(message.first_chunk()) == Some(seq) && word(message.last_chunk()) == Some(seq ^ SEAL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_follow_the_fixed_part() {
        let ring = SlotRing::new(8 << 20, 4, 72).unwrap();
        assert_eq!((ring.slot(0), ring.slot(1), ring.slot(7)), (SLOTS, SLOTS + 128, SLOTS + 3 * 128));
    }

    #[test]
    fn refuses_ring_that_does_not_fit() {
        for (slots, bytes) in [(0, 64), (4, 8), (4, 65), (5, 1 << 20), (u64::MAX, 64), (2, u64::MAX)] {
            assert_eq!(SlotRing::new(8 << 20, slots, bytes), None, "{slots} slots of {bytes}");
        }
        assert!(SlotRing::new(8 << 20, 4, 1 << 20).is_some());
    }

    #[test]
    fn message_is_intact_only_with_both_words() {
        let mut message = [0; 64];
        stamp_ends(&mut message, 9);
        assert!(is_intact(&message, 9));
        assert!(!is_intact(&message, 10));
        message[63] ^= 1;
        assert!(!is_intact(&message, 9));
        assert!(!is_intact(&message[..4], 9));
    }
}
