//! Memory that another process or machine writes at the same time.
//!
//! This is the only file that accesses shared memory through raw pointers. It returns atomic words and copies, never a
//! `&[u8]` or a `&T` of a plain type: a Rust reference must not have other writers.
//!
//! The same type serves for device registers (BAR0): a 32-bit atomic store is one 32-bit bus access.
#![expect(unsafe_code, reason = "maps and dereferences memory that other processes share")]

use std::io;
use std::os::fd::AsFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use memmap2::{MmapOptions, MmapRaw};
use rustix::fs::{SealFlags, fcntl_get_seals, fstat};

/// Why memory could not be mapped or accessed.
#[derive(Debug, thiserror::Error)]
pub enum RegionError {
    /// The system refused the mapping.
    #[error("cannot map {len} bytes at offset {offset} of the shared memory")]
    Map {
        /// Offset in the file or device.
        offset: u64,
        /// Requested length.
        len: usize,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// The size of the descriptor is unknown.
    #[error("cannot learn the size of the memory object")]
    Stat(#[source] io::Error),
    /// The object is smaller than the mapping. Access to the missing pages would raise SIGBUS.
    #[error("the memory object has {actual} bytes, {wanted} were to be mapped")]
    TooSmall {
        /// Size of the object.
        actual: u64,
        /// Requested bytes.
        wanted: u64,
    },
    /// An access would leave the region or straddle a word.
    #[error("{len} bytes at offset {offset:#x} leave the region of {region} bytes, or are not aligned to their size")]
    OutOfBounds {
        /// Offset of the access.
        offset: usize,
        /// Length of the access.
        len: usize,
        /// The region's length.
        region: usize,
    },
}

/// Whether a holder of this memory object can make it smaller: it is not sealed with `F_SEAL_SHRINK` (fcntl(2)).
pub fn may_shrink(fd: impl AsFd) -> bool {
    fcntl_get_seals(fd).map_or(true, |seals| !seals.contains(SealFlags::SHRINK))
}

/// A mapping of memory that has other writers.
///
/// Invariant: `base .. base + len` stays mapped, readable and writable for the value's life. A memory object that is
/// not sealed against shrinking can be shrunk by any of its holders (see [`may_shrink`]). Access to the missing pages
/// then raises SIGBUS, which ends the process and corrupts nothing. A PCI BAR has a fixed size.
#[derive(Debug)]
pub struct SharedRegion {
    map: MmapRaw,
    len: usize,
}

impl SharedRegion {
    /// Maps a whole memory object, taking its length from the descriptor.
    pub fn map_object(fd: impl AsFd) -> Result<Self, RegionError> {
        let stat = fstat(&fd).map_err(|error| RegionError::Stat(error.into()))?;
        let len = u64::try_from(stat.st_size).unwrap_or(0);
        let len = usize::try_from(len).map_err(|_| RegionError::TooSmall { actual: 0, wanted: len })?;
        if len == 0 {
            return Err(RegionError::TooSmall { actual: 0, wanted: 1 });
        }
        Self::map_device(fd, 0, len)
    }

    /// Maps `len` bytes at `offset` of a device or sysfs resource, whose size is not known from the descriptor.
    ///
    /// `offset` is passed to mmap(2). For `/dev/uioN` it is the number of the map times the page size.
    pub fn map_device(fd: impl AsFd, offset: u64, len: usize) -> Result<Self, RegionError> {
        let fd = fd.as_fd();
        let map = MmapOptions::new().offset(offset).len(len).map_raw(&fd);
        let map = map.map_err(|source| RegionError::Map { offset, len, source })?;
        Ok(Self { map, len })
    }

    /// Length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Always `false`: an empty region cannot be mapped.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn at(&self, offset: usize, len: usize, align: usize) -> Result<NonNull<u8>, RegionError> {
        let fits = offset.checked_add(len).is_some_and(|end| end <= self.len);
        if !fits || !offset.is_multiple_of(align) {
            return Err(RegionError::OutOfBounds { offset, len, region: self.len });
        }
        // SAFETY: `offset + len` lies within the mapping (checked above), so the result is in bounds and not null.
        Ok(unsafe { NonNull::new_unchecked(self.map.as_mut_ptr().add(offset)) })
    }

    /// The 64-bit word at `offset`, which must be a multiple of 8.
    pub fn word(&self, offset: usize) -> Result<&AtomicU64, RegionError> {
        let at = self.at(offset, 8, 8)?;
        // SAFETY: in bounds, aligned (the mapping starts on a page), mapped for as long as `self` is borrowed. All
        // readers and writers access these bytes by atomic or volatile instructions.
        Ok(unsafe { AtomicU64::from_ptr(at.as_ptr().cast()) })
    }

    /// `count` words from `offset` on, which must be a multiple of 8. For loops: bounds are checked once, not for each
    /// word.
    pub fn words(&self, offset: usize, count: usize) -> Result<&[AtomicU64], RegionError> {
        let at = self.at(offset, count.saturating_mul(8), 8)?;
        // SAFETY: as in `word`; `at` has checked the whole length.
        Ok(unsafe { std::slice::from_raw_parts(at.as_ptr().cast(), count) })
    }

    /// The 32-bit word at `offset`, which must be a multiple of 4.
    pub fn word32(&self, offset: usize) -> Result<&AtomicU32, RegionError> {
        let at = self.at(offset, 4, 4)?;
        // SAFETY: as in `word`, for four bytes.
        Ok(unsafe { AtomicU32::from_ptr(at.as_ptr().cast()) })
    }

    /// Copies `from` into the region. The protocol must assign these bytes to this side: a concurrent write by the
    /// other side corrupts them.
    pub fn copy_in(&self, offset: usize, from: &[u8]) -> Result<(), RegionError> {
        let at = self.at(offset, from.len(), 1)?;
        // SAFETY: the destination is in bounds; `from` is a private slice and cannot overlap a foreign mapping.
        unsafe { std::ptr::copy_nonoverlapping(from.as_ptr(), at.as_ptr(), from.len()) };
        Ok(())
    }

    /// Copies bytes out of the region. Validate the copy: the original can change after the check.
    pub fn copy_out(&self, offset: usize, to: &mut [u8]) -> Result<(), RegionError> {
        let at = self.at(offset, to.len(), 1)?;
        // SAFETY: the source is in bounds; `to` is exclusively borrowed.
        unsafe { std::ptr::copy_nonoverlapping(at.as_ptr(), to.as_mut_ptr(), to.len()) };
        Ok(())
    }

    /// Copies out like [`copy_out`](Self::copy_out), with loads that fetch a whole line of write-combined memory at a
    /// time (MOVNTDQA, Intel SDM volume 1, "Streaming load hint instruction"). On cached memory they are ordinary
    /// loads. `None` if the processor lacks them, or if `offset` or length is not a multiple of 16.
    pub fn copy_out_streaming(&self, offset: usize, to: &mut [u8]) -> Option<Result<(), RegionError>> {
        if !is_x86_feature_detected!("sse4.1") || !offset.is_multiple_of(16) || !to.len().is_multiple_of(16) {
            return None;
        }
        Some(self.at(offset, to.len(), 16).map(|from| {
            // SAFETY: SSE4.1 was detected; source and destination are `to.len()` bytes each, the source aligned to 16.
            unsafe { stream_out(from.as_ptr(), to) };
        }))
    }

    /// Copies out as [`copy_out`](Self::copy_out) does, with one 64-bit load per word. This is the fastest copy under
    /// emulation, which splits wide instructions. `None` if `offset` or length is not a multiple of 8.
    pub fn copy_out_words(&self, offset: usize, to: &mut [u8]) -> Option<Result<(), RegionError>> {
        if !offset.is_multiple_of(8) || !to.len().is_multiple_of(8) {
            return None;
        }
        Some(self.at(offset, to.len(), 8).map(|from| {
            let from: *const u64 = from.as_ptr().cast();
            for (i, word) in to.chunks_exact_mut(8).enumerate() {
                // SAFETY: word `i` lies within the bytes that `at` has checked, aligned to 8. Volatile, because the
                // other side writes too, and because the compiler must not replace the word-by-word loop.
                word.copy_from_slice(&unsafe { from.add(i).read_volatile() }.to_ne_bytes());
            }
        }))
    }

    /// Loads every word and returns their exclusive or, so the compiler keeps every load. `None` if `offset` or `len`
    /// is not a multiple of 8.
    #[must_use]
    pub fn read_words(&self, offset: usize, len: usize) -> Option<Result<u64, RegionError>> {
        if !offset.is_multiple_of(8) || !len.is_multiple_of(8) {
            return None;
        }
        Some(self.at(offset, len, 8).map(|from| {
            // SAFETY: `at` has checked bounds and alignment.
            unsafe { all_words(from.as_ptr().cast(), len / 8) }
        }))
    }

    /// Evicts bytes from all caches of this machine (CLFLUSH, Intel SDM volume 2). The next access reads them from
    /// memory.
    pub fn flush(&self, offset: usize, len: usize) -> Result<(), RegionError> {
        let at = self.at(offset, len, 1)?;
        // SAFETY: the bytes are mapped (checked above), and flushing changes none of them.
        unsafe { flush_lines(at.as_ptr(), len) };
        Ok(())
    }
}

/// Loads private words by the same loop as [`SharedRegion::read_words`].
#[must_use]
pub fn read_private_words(words: &[u64]) -> u64 {
    // SAFETY: all words of the slice are readable and aligned.
    unsafe { all_words(words.as_ptr(), words.len()) }
}

/// # Safety
/// `from` must be aligned, and readable for `words` words.
unsafe fn all_words(from: *const u64, words: usize) -> u64 {
    // SAFETY: by contract. Volatile, because another side may write, and because each word must be a separate load.
    (0..words).fold(0, |all, i| all ^ unsafe { from.add(i).read_volatile() })
}

/// Evicts private bytes from all caches, see [`SharedRegion::flush`].
pub fn flush_private(bytes: &[u8]) {
    // SAFETY: the slice is mapped, and flushing does not change it.
    unsafe { flush_lines(bytes.as_ptr(), bytes.len()) };
}

/// # Safety
/// `from` must be mapped for `len` bytes.
unsafe fn flush_lines(from: *const u8, len: usize) {
    use std::arch::x86_64::{_mm_clflush, _mm_mfence};
    for line in (0..len).step_by(64) {
        // SAFETY: within the mapping by contract; every x86-64 processor has the instruction.
        unsafe { _mm_clflush(from.add(line)) };
    }
    // SAFETY: accesses no memory. Later accesses must miss the caches.
    unsafe { _mm_mfence() };
}

/// # Safety
/// `from` must be aligned to 16 and readable for `to.len()` bytes, a multiple of 16.
#[target_feature(enable = "sse4.1")]
#[expect(clippy::cast_ptr_alignment, reason = "the source is aligned by contract, the store needs no alignment")]
unsafe fn stream_out(from: *const u8, to: &mut [u8]) {
    use std::arch::x86_64::{__m128i, _mm_storeu_si128, _mm_stream_load_si128};
    for (i, chunk) in to.chunks_exact_mut(16).enumerate() {
        // SAFETY: chunk `i` of `to` corresponds to the 16 aligned bytes at `from + 16 i`, readable by contract.
        unsafe {
            let value = _mm_stream_load_si128(from.add(16 * i).cast::<__m128i>());
            _mm_storeu_si128(chunk.as_mut_ptr().cast::<__m128i>(), value);
        }
    }
}

/// A read-only mapping of words, such as a driver's time stamps.
#[derive(Debug)]
pub struct SharedView {
    region: SharedRegion,
}

impl SharedView {
    /// Maps `len` bytes at `offset` of a device, for reading only.
    pub fn map_device(fd: impl AsFd, offset: u64, len: usize) -> Result<Self, RegionError> {
        let fd = fd.as_fd();
        let map = MmapOptions::new().offset(offset).len(len).map_raw_read_only(&fd);
        let map = map.map_err(|source| RegionError::Map { offset, len, source })?;
        Ok(Self { region: SharedRegion { map, len } })
    }

    /// The 64-bit word at `offset`, which must be a multiple of 8.
    #[inline]
    pub fn load(&self, offset: usize) -> Result<u64, RegionError> {
        Ok(self.region.word(offset)?.load(Ordering::Acquire))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(len: u64) -> memfd::Memfd {
        let object = memfd::MemfdOptions::default().create("region-test").unwrap();
        object.as_file().set_len(len).unwrap();
        object
    }

    #[test]
    fn two_mappings_share_one_object() {
        let object = object(8192);
        let a = SharedRegion::map_object(object.as_file()).unwrap();
        let b = SharedRegion::map_object(object.as_file()).unwrap();
        a.word(4096).unwrap().store(7, Ordering::Release);
        assert_eq!(b.word(4096).unwrap().load(Ordering::Acquire), 7);
        b.copy_in(100, b"frame").unwrap();
        let mut out = [0; 5];
        a.copy_out(100, &mut out).unwrap();
        assert_eq!(&out, b"frame");
    }

    #[test]
    fn refuses_access_outside_or_unaligned() {
        let region = SharedRegion::map_object(object(4096).as_file()).unwrap();
        assert!(region.word(4096).is_err());
        assert!(region.word(4092).is_err());
        assert!(region.word(4).is_err());
        assert!(region.word32(4092).is_ok());
        assert!(region.word32(2).is_err());
        assert!(region.word(usize::MAX - 7).is_err());
        assert!(region.copy_in(4090, &[0; 7]).is_err());
        assert!(region.copy_out(usize::MAX, &mut [0; 2]).is_err());
    }

    #[test]
    fn detects_seal_against_shrinking() {
        let object = memfd::MemfdOptions::default().allow_sealing(true).create("region-test").unwrap();
        assert!(may_shrink(object.as_file()));
        object.add_seal(memfd::FileSeal::SealShrink).unwrap();
        assert!(!may_shrink(object.as_file()));
    }

    #[test]
    fn streaming_copy_equals_plain_copy() {
        let region = SharedRegion::map_object(object(4096).as_file()).unwrap();
        let bytes: Vec<u8> = (0..=255).cycle().take(1024).collect();
        region.copy_in(2048, &bytes).unwrap();
        let mut out = vec![0; 1024];
        if let Some(copied) = region.copy_out_streaming(2048, &mut out) {
            copied.unwrap();
            assert_eq!(out, bytes);
        }
        assert!(region.copy_out_streaming(2049, &mut out).is_none());
        assert!(region.copy_out_streaming(3584, &mut out).is_none_or(|copied| copied.is_err()));
    }

    #[test]
    fn copy_by_words_equals_plain_copy() {
        let region = SharedRegion::map_object(object(4096).as_file()).unwrap();
        let bytes: Vec<u8> = (0..=255).cycle().take(1024).collect();
        region.copy_in(2048, &bytes).unwrap();
        let mut out = vec![0; 1024];
        region.copy_out_words(2048, &mut out).unwrap().unwrap();
        assert_eq!(out, bytes);
        assert!(region.copy_out_words(2049, &mut out).is_none());
        assert!(region.copy_out_words(3584, &mut out).unwrap().is_err());
    }

    #[test]
    fn read_words_loads_every_word() {
        let region = SharedRegion::map_object(object(4096).as_file()).unwrap();
        for (at, word) in [(1024, 1_u64), (1032, 6), (2040, 0x700)] {
            region.copy_in(at, &word.to_ne_bytes()).unwrap();
        }
        assert_eq!(region.read_words(1024, 1024).unwrap().unwrap(), 0x707);
        assert_eq!(region.read_words(1032, 1008).unwrap().unwrap(), 6);
        assert_eq!(read_private_words(&[1, 6, 0x700]), 0x707);
        assert!(region.read_words(1025, 8).is_none() && region.read_words(1024, 7).is_none());
        assert!(region.read_words(4096, 8).unwrap().is_err());
    }

    #[test]
    fn view_reads_writes_of_the_region() {
        let object = object(4096);
        let region = SharedRegion::map_object(object.as_file()).unwrap();
        let view = SharedView::map_device(object.as_file(), 0, 4096).unwrap();
        region.word(64).unwrap().store(9, Ordering::Release);
        assert_eq!(view.load(64).unwrap(), 9);
        assert!(view.load(4096).is_err());
    }

    #[test]
    fn refuses_empty_object() {
        assert!(SharedRegion::map_object(object(0).as_file()).is_err());
    }
}
