//! Where the benchmark's own structures lie in the shared memory.
//!
//! ```text
//! 0x0000  header    written by the host once per run; the nonce last
//! 0x1000  host      lines that only the host writes
//! 0x2000  guest     lines that only the guest writes
//! 0x3000  text      what the guest says of itself, JSON
//! 0x4000  records   the guest's stamps, one record per operation of a block
//! 4 MiB   slots     frames: a page for the header, then the payload
//! ```
//!
//! Every line is 128 bytes (two cache lines, which adjacent-line prefetchers fetch together) and has one writer. The
//! armed words are the exception: the receiver sets them, the sender takes them (see [`doorbell::wait`]).

use std::sync::atomic::{AtomicU64, Ordering};

use doorbell::region::{RegionError, SharedRegion};

/// "IVDBELL1" in memory order: what the first eight bytes are when a host has laid out the region.
pub const MAGIC: u64 = u64::from_le_bytes(*b"IVDBELL1");
/// Changes with the meaning of anything in this crate's layout; [`fingerprint`] catches what a person forgets.
pub const VERSION: u64 = 2;

/// Granule of every structure; the page size of x86-64.
pub const PAGE: usize = 4096;
/// One writer's line.
pub const LINE: usize = 128;
/// The host's page.
pub const HOST: usize = PAGE;
/// The guest's page.
pub const GUEST: usize = 2 * PAGE;
/// The guest's words about itself.
pub const TEXT: usize = 3 * PAGE;
/// Most bytes of text, its length word not counted.
pub const TEXT_BYTES: usize = PAGE - 8;
/// The guest's stamps.
pub const RECORDS: usize = 4 * PAGE;
/// Bytes per record.
pub const RECORD: usize = 64;
/// Records there are: no block may have more operations, warm-up included.
pub const RECORD_COUNT: usize = 32_768;
/// Where the slots begin.
pub const SLOTS: usize = 4 << 20;
/// Slots that are enough to keep both sides busy; more would only spread over the caches.
pub const SLOTS_WANTED: usize = 3;

/// Host line: the message word, and 56 bytes that go with it in the same cache line.
pub const HOST_MESSAGE: usize = HOST;
/// Host line: set by the host when it is about to block, taken by the guest when it rings.
pub const HOST_ARMED: usize = HOST + LINE;
/// Host line: the command word and its parameters.
pub const HOST_COMMAND: usize = HOST + 2 * LINE;
/// Guest line: the acknowledgement word, and a stamp beside it.
pub const GUEST_ACK: usize = GUEST;
/// Guest line: set by the guest when it is about to block, taken by the host when it rings.
pub const GUEST_ARMED: usize = GUEST + LINE;
/// Guest line: the status word.
pub const GUEST_STATUS: usize = GUEST + 2 * LINE;
/// Guest line: the nonce it answers to, its id and what it can do.
pub const GUEST_HELLO: usize = GUEST + 3 * LINE;
/// Guest lines: the counters of the block that ended.
pub const GUEST_COUNTERS: usize = GUEST + 4 * LINE;

/// A number that differs when the layout does, so that two builds which do not fit refuse each other.
#[must_use]
pub const fn fingerprint() -> u64 {
    let parts = [
        VERSION,
        LINE as u64,
        TEXT as u64,
        RECORDS as u64,
        RECORD as u64,
        RECORD_COUNT as u64,
        SLOTS as u64,
        HOST_MESSAGE as u64,
        HOST_ARMED as u64,
        HOST_COMMAND as u64,
        GUEST_ACK as u64,
        GUEST_ARMED as u64,
        GUEST_STATUS as u64,
        GUEST_HELLO as u64,
        GUEST_COUNTERS as u64,
        size_of::<crate::frame::FrameHeader>() as u64,
        crate::control::PARAMETERS as u64,
        crate::counters::COUNTERS as u64,
    ];
    // FNV-1a over whole words: any change of any part changes it.
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut i = 0;
    while i < parts.len() {
        hash = (hash ^ parts[i]).wrapping_mul(0x0100_0000_01b3);
        i += 1;
    }
    hash
}

/// Why a region cannot carry the benchmark.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// Not even one frame fits.
    #[error(
        "the shared memory of {have} MiB is too small for a frame of {frame} bytes; \
         start the server with --size {want}M or more",
        have = have >> 20, want = (want >> 20)
    )]
    TooSmall {
        /// Bytes there are.
        have: usize,
        /// Bytes of the largest frame.
        frame: usize,
        /// The next power of two that would do.
        want: usize,
    },
    /// The other side was built from another layout.
    #[error(
        "the other side speaks layout {theirs:#018x}, this one {ours:#018x}: \
         build host-peer and guest-uio from the same source"
    )]
    Incompatible {
        /// What the header says.
        theirs: u64,
        /// What this build expects.
        ours: u64,
    },
    /// The header's numbers do not fit the region.
    #[error("the header announces {count} slots of {stride} bytes, which a region of {region} bytes cannot hold")]
    Slots {
        /// Slots announced.
        count: u64,
        /// Bytes per slot announced.
        stride: u64,
        /// Bytes there are.
        region: usize,
    },
    /// The region is smaller than its fixed part.
    #[error(transparent)]
    Region(#[from] RegionError),
}

/// How the slots of a run lie. Everything else is fixed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Distinguishes this run from every earlier one in the same memory.
    pub nonce: u64,
    /// The host's id, which the guest rings.
    pub host_peer: u16,
    /// Number of slots.
    pub slots: usize,
    /// Bytes per slot: a page for the header, and the payload.
    pub stride: usize,
}

impl Layout {
    /// As many slots for payloads of up to `largest` bytes as fit, but no more than [`SLOTS_WANTED`].
    pub fn plan(region: usize, largest: usize, nonce: u64, host_peer: u16) -> Result<Self, LayoutError> {
        let stride = PAGE + largest.next_multiple_of(PAGE);
        let slots = (region.saturating_sub(SLOTS) / stride).min(SLOTS_WANTED);
        if slots == 0 {
            let want = (SLOTS + stride).next_power_of_two();
            return Err(LayoutError::TooSmall { have: region, frame: largest, want });
        }
        Ok(Self { nonce, host_peer, slots, stride })
    }

    /// Most bytes of payload in a slot.
    #[must_use]
    pub fn payload_bytes(&self) -> usize {
        self.stride - PAGE
    }

    /// Offset of a slot's header; `None` if there is no such slot.
    #[must_use]
    pub fn slot(&self, index: u64) -> Option<usize> {
        let index = usize::try_from(index).ok().filter(|i| *i < self.slots)?;
        Some(SLOTS + index * self.stride)
    }

    /// Offsets at which `bytes` bytes can be copied while no message is under way: each slot's payload, or the first
    /// slot where they need more room than a slot has.
    #[must_use]
    pub fn copy_offsets(&self, bytes: usize) -> Vec<usize> {
        if bytes > self.payload_bytes() {
            return vec![SLOTS];
        }
        (0..self.slots).map(|index| SLOTS + index * self.stride + PAGE).collect()
    }

    /// Writes the header: the host's first act. The nonce goes last, so that a guest that sees it sees all the rest.
    pub fn publish(&self, region: &SharedRegion) -> Result<(), LayoutError> {
        let nonce = region.word(24)?;
        nonce.store(0, Ordering::Release);
        let words = [MAGIC, VERSION, fingerprint()];
        for (i, word) in words.into_iter().enumerate() {
            region.word(i * 8)?.store(word, Ordering::Relaxed);
        }
        let words = [u64::from(self.host_peer), self.slots as u64, self.stride as u64];
        for (i, word) in words.into_iter().enumerate() {
            region.word(32 + i * 8)?.store(word, Ordering::Relaxed);
        }
        nonce.store(self.nonce, Ordering::Release);
        Ok(())
    }

    /// Takes the header back at a run's end, so that a guest does not take the memory for a run that waits for it.
    pub fn clear(region: &SharedRegion) -> Result<(), LayoutError> {
        region.word(24)?.store(0, Ordering::Release);
        Ok(())
    }

    /// Reads the header, `None` while no host has written one.
    pub fn read(region: &SharedRegion) -> Result<Option<Self>, LayoutError> {
        let nonce = region.word(24)?.load(Ordering::Acquire);
        let word = |offset| region.word(offset).map(|w: &AtomicU64| w.load(Ordering::Relaxed));
        if nonce == 0 || word(0)? != MAGIC {
            return Ok(None);
        }
        let theirs = word(16)?;
        if word(8)? != VERSION || theirs != fingerprint() {
            return Err(LayoutError::Incompatible { theirs, ours: fingerprint() });
        }
        let (host_peer, count, stride) = (word(32)?, word(40)?, word(48)?);
        let nonsense = LayoutError::Slots { count, stride, region: region.len() };
        let fits = count
            .checked_mul(stride)
            .and_then(|bytes| bytes.checked_add(SLOTS as u64))
            .is_some_and(|end| end <= region.len() as u64);
        if !fits || count == 0 || stride < 2 * PAGE as u64 || stride % PAGE as u64 != 0 {
            return Err(nonsense);
        }
        let (Ok(host_peer), Ok(slots), Ok(stride)) =
            (u16::try_from(host_peer), usize::try_from(count), usize::try_from(stride))
        else {
            return Err(nonsense);
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
    fn the_default_region_holds_three_4k_frames() {
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
    fn a_region_too_small_for_one_frame_names_a_size_that_does() {
        let error = Layout::plan(16 << 20, FRAME_4K, 1, 0).unwrap_err();
        assert!(error.to_string().contains("--size 32M"), "{error}");
        assert!(Layout::plan(32 << 20, FRAME_4K, 1, 0).is_ok());
    }

    #[test]
    fn the_guest_reads_what_the_host_published() {
        let region = region(8 << 20);
        assert_eq!(Layout::read(&region).unwrap(), None);
        let layout = Layout::plan(region.len(), 64, 77, 5).unwrap();
        layout.publish(&region).unwrap();
        assert_eq!(Layout::read(&region).unwrap(), Some(layout));
        Layout::clear(&region).unwrap();
        assert_eq!(Layout::read(&region).unwrap(), None);
    }

    #[test]
    fn a_header_that_lies_is_refused() {
        let region = region(8 << 20);
        let layout = Layout::plan(region.len(), 64, 77, 5).unwrap();
        for (offset, value) in [(8, 9), (16, 1), (32, 1 << 20), (40, u64::MAX), (40, 0), (48, 4096), (48, u64::MAX)] {
            layout.publish(&region).unwrap();
            region.word(offset).unwrap().store(value, Ordering::Relaxed);
            assert!(Layout::read(&region).is_err(), "offset {offset} value {value}");
        }
    }
}
