//! A frame's header in its slot. Copied out whole before anything is believed, then validated in the copy.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::layout::Layout;

/// First four bytes of a slot that holds a frame.
pub const FRAME_MAGIC: u32 = 0xDEAD_BEEF;

/// What precedes a frame's bytes, little-endian as x86-64 stores it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct FrameHeader {
    /// [`FRAME_MAGIC`].
    pub magic: u32,
    /// Zero.
    pub reserved: u32,
    /// The operation that this frame belongs to.
    pub seq: u64,
    /// Bytes of payload.
    pub len: u64,
    /// SHA-256 of the payload.
    pub sha256: [u8; 32],
}

impl FrameHeader {
    /// The header of a frame of `len` bytes.
    #[must_use]
    pub fn new(seq: u64, len: u64, sha256: [u8; 32]) -> Self {
        Self { magic: FRAME_MAGIC, reserved: 0, seq, len, sha256 }
    }

    /// The payload's length, if the header belongs to operation `seq` and its payload fits the slot.
    #[must_use]
    pub fn validate(&self, seq: u64, layout: &Layout) -> Option<usize> {
        let len = usize::try_from(self.len).ok()?;
        (self.magic == FRAME_MAGIC && self.seq == seq && len > 0 && len <= layout.payload_bytes()).then_some(len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_header_of_this_operation_that_fits_its_slot_is_valid() {
        let layout = Layout::plan(16 << 20, 10_000, 1, 0).unwrap();
        let good = FrameHeader::new(3, 10_000, [0; 32]);
        assert_eq!(good.validate(3, &layout), Some(10_000));
        assert_eq!(good.validate(4, &layout), None);
        assert_eq!(FrameHeader { magic: 0, ..good }.validate(3, &layout), None);
        assert_eq!(FrameHeader { len: 0, ..good }.validate(3, &layout), None);
        assert_eq!(FrameHeader { len: u64::MAX, ..good }.validate(3, &layout), None);
        assert_eq!(FrameHeader { len: layout.payload_bytes() as u64 + 1, ..good }.validate(3, &layout), None);
    }
}
