//! The header of a frame in its slot. The reader copies it out once and validates the copy.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::words::shared_struct;

/// First four bytes of a slot that holds a frame.
pub const FRAME_MAGIC: u32 = 0xDEAD_BEEF;

shared_struct! {
    /// Precedes a frame's payload; little-endian.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
    pub struct FrameHeader {
        /// [`FRAME_MAGIC`].
        pub magic: u32,
        /// Zero.
        pub reserved: u32,
        /// The frame's operation.
        pub seq: u64,
        /// Bytes of payload.
        pub len: u64,
        /// SHA-256 of the payload.
        pub sha256: [u8; 32],
    }
}

impl FrameHeader {
    /// The header of a frame of `len` bytes.
    #[must_use]
    pub fn new(seq: u64, len: u64, sha256: [u8; 32]) -> Self {
        Self { magic: FRAME_MAGIC, reserved: 0, seq, len, sha256 }
    }

    /// The payload's length, if the header belongs to operation `seq` and the payload has at most `max_len` bytes.
    #[must_use]
    pub fn validate(&self, seq: u64, max_len: usize) -> Option<usize> {
        let len = usize::try_from(self.len).ok()?;
        (self.magic == FRAME_MAGIC && self.seq == seq && len > 0 && len <= max_len).then_some(len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_only_headers_of_this_operation_that_fit() {
        let max_len = 12_288;
        let good = FrameHeader::new(3, 10_000, [0; 32]);
        assert_eq!(good.validate(3, max_len), Some(10_000));
        assert_eq!(good.validate(4, max_len), None);
        assert_eq!(FrameHeader { magic: 0, ..good }.validate(3, max_len), None);
        assert_eq!(FrameHeader { len: 0, ..good }.validate(3, max_len), None);
        assert_eq!(FrameHeader { len: u64::MAX, ..good }.validate(3, max_len), None);
        assert_eq!(FrameHeader { len: max_len as u64 + 1, ..good }.validate(3, max_len), None);
    }
}
