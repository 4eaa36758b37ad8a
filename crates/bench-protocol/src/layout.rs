//! The layout of a run: its header, and the slots.

use std::sync::atomic::Ordering;

use doorbell::region::{RegionError, SharedRegion};

use crate::fingerprint::fingerprint;
use crate::memory_map::{Header, NONCE, PAGE, SLOTS};
use crate::words::{load, store};

/// "IVDBELL1" in memory order: the first eight bytes of a region with a header.
pub const MAGIC: u64 = u64::from_le_bytes(*b"IVDBELL1");
/// Changes when the meaning of a field changes. [`fingerprint`] covers the rest.
pub const VERSION: u64 = 3;
/// Maximum number of slots. Three keep both sides busy; more would only evict each other from the caches.
pub const MAX_SLOTS: usize = 3;

/// Why a region cannot be used for the benchmark.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// Too small for one frame.
    #[error(
        "the shared memory of {have} MiB is too small for a frame of {frame} bytes; \
         start the server with --size {want}M or more",
        have = have >> 20, want = (want >> 20)
    )]
    TooSmall {
        /// Size of the region.
        have: usize,
        /// Size of the largest frame.
        frame: usize,
        /// The next sufficient power of two.
        want: usize,
    },
    /// The other side was built with another layout.
    #[error(
        "the other side uses layout {theirs:#018x}, this side {ours:#018x}: \
         build host-peer and guest-uio from the same source"
    )]
    Incompatible {
        /// The fingerprint in the header.
        theirs: u64,
        /// The fingerprint of this build.
        ours: u64,
    },
    /// The header's slots exceed the region.
    #[error("the header has {count} slots of {stride} bytes, too many for a region of {region} bytes")]
    Slots {
        /// Number of slots.
        count: u64,
        /// Bytes per slot.
        stride: u64,
        /// Size of the region.
        region: usize,
    },
    /// The region is smaller than its fixed part.
    #[error(transparent)]
    Region(#[from] RegionError),
}

/// The slots of a run. Everything else in the region has a fixed offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Distinguishes this run from earlier ones in the same memory.
    pub nonce: u64,
    /// The host's id, which the guest rings.
    pub host_peer: u16,
    /// Number of slots.
    pub slots: usize,
    /// Bytes per slot: a page for the header, and the payload.
    pub stride: usize,
}

impl Layout {
    /// As many slots for payloads of `largest` bytes as fit, at most [`MAX_SLOTS`].
    pub fn plan(region: usize, largest: usize, nonce: u64, host_peer: u16) -> Result<Self, LayoutError> {
        let stride = PAGE + largest.next_multiple_of(PAGE);
        let slots = (region.saturating_sub(SLOTS) / stride).min(MAX_SLOTS);
        if slots == 0 {
            let want = (SLOTS + stride).next_power_of_two();
            return Err(LayoutError::TooSmall { have: region, frame: largest, want });
        }
        Ok(Self { nonce, host_peer, slots, stride })
    }

    /// Maximum payload of a slot, in bytes.
    #[must_use]
    pub fn payload_bytes(&self) -> usize {
        self.stride - PAGE
    }

    /// Offset of a slot's header; `None` if the number is not valid.
    #[must_use]
    pub fn slot(&self, index: u64) -> Option<usize> {
        let index = usize::try_from(index).ok().filter(|i| *i < self.slots)?;
        Some(SLOTS + index * self.stride)
    }

    /// Offsets at which `bytes` bytes can be copied between messages: the payload of each slot, or the start of
    /// the first slot if they exceed a payload.
    #[must_use]
    pub fn copy_offsets(&self, bytes: usize) -> Vec<usize> {
        if bytes > self.payload_bytes() {
            return vec![SLOTS];
        }
        (0..self.slots).map(|index| SLOTS + index * self.stride + PAGE).collect()
    }

    /// Writes the header. The nonce is written last, so a guest that sees it sees the other fields.
    pub fn publish(&self, region: &SharedRegion) -> Result<(), LayoutError> {
        let header = Header {
            magic: MAGIC,
            version: VERSION,
            fingerprint: fingerprint(),
            nonce: 0,
            host_peer: u64::from(self.host_peer),
            slots: self.slots as u64,
            stride: self.stride as u64,
        };
        let nonce = region.word(NONCE)?;
        nonce.store(0, Ordering::Release);
        store(region, 0, &header.to_words())?;
        nonce.store(self.nonce, Ordering::Release);
        Ok(())
    }

    /// Reads the header; `None` before the host has written it.
    pub fn read(region: &SharedRegion) -> Result<Option<Self>, LayoutError> {
        let nonce = region.word(NONCE)?.load(Ordering::Acquire);
        let Some(header) = Header::from_words(load(region, 0)?).filter(|header| nonce != 0 && header.magic == MAGIC)
        else {
            return Ok(None);
        };
        let Header { version, fingerprint: theirs, host_peer, slots, stride, .. } = header;
        let ours = fingerprint();
        if version != VERSION || theirs != ours {
            return Err(LayoutError::Incompatible { theirs, ours });
        }
        let invalid = LayoutError::Slots { count: slots, stride, region: region.len() };
        let fits = slots
            .checked_mul(stride)
            .and_then(|bytes| bytes.checked_add(SLOTS as u64))
            .is_some_and(|end| end <= region.len() as u64);
        if !fits || slots == 0 || stride < 2 * PAGE as u64 || stride % PAGE as u64 != 0 {
            return Err(invalid);
        }
        let (Ok(host_peer), Ok(slots), Ok(stride)) =
            (u16::try_from(host_peer), usize::try_from(slots), usize::try_from(stride))
        else {
            return Err(invalid);
        };
        Ok(Some(Self { nonce, host_peer, slots, stride }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME_4K: usize = 3840 * 2160 * 3;

    fn region(bytes: u64) -> SharedRegion {
        let object = memfd::MemfdOptions::default().create("layout-test").unwrap();
        object.as_file().set_len(bytes).unwrap();
        SharedRegion::map_object(object.as_file()).unwrap()
    }

    #[test]
    fn default_region_holds_three_4k_frames() {
        let layout = Layout::plan(128 << 20, FRAME_4K, 1, 0).unwrap();
        assert_eq!(layout.slots, 3);
        assert_eq!(layout.slot(0), Some(SLOTS));
        assert!(layout.slot(2).unwrap() + layout.stride <= 128 << 20);
        let offsets = layout.copy_offsets(layout.payload_bytes());
        assert_eq!((offsets.len(), offsets[2]), (3, layout.slot(2).unwrap() + PAGE));
        assert_eq!(layout.copy_offsets(layout.payload_bytes() + 1), [SLOTS]);
        assert_eq!(layout.slot(3), None);
        assert_eq!(layout.slot(u64::MAX), None);
    }

    #[test]
    fn small_region_error_names_a_sufficient_size() {
        let error = Layout::plan(16 << 20, FRAME_4K, 1, 0).unwrap_err();
        assert!(error.to_string().contains("--size 32M"), "{error}");
        assert!(Layout::plan(32 << 20, FRAME_4K, 1, 0).is_ok());
    }

    #[test]
    fn guest_reads_published_layout() {
        let region = region(8 << 20);
        assert_eq!(Layout::read(&region).unwrap(), None);
        let layout = Layout::plan(region.len(), 64, 77, 5).unwrap();
        layout.publish(&region).unwrap();
        assert_eq!(Layout::read(&region).unwrap(), Some(layout));
    }

    #[test]
    fn refuses_invalid_header() {
        let region = region(8 << 20);
        let layout = Layout::plan(region.len(), 64, 77, 5).unwrap();
        for (offset, value) in [(8, 9), (16, 1), (32, 1 << 20), (40, u64::MAX), (40, 0), (48, 4096), (48, u64::MAX)] {
            layout.publish(&region).unwrap();
            region.word(offset).unwrap().store(value, Ordering::Relaxed);
            assert!(Layout::read(&region).is_err(), "offset {offset} value {value}");
        }
    }
}
