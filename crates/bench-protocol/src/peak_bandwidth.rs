//! The ceilings of one side: how fast its memory is copied and hashed, and what reading its clock costs. Host and guest
//! measure them with the same code, so that their ratio says something of the machine and nothing of the program.
//!
//! The best round counts: a ceiling is what the machine can do when nobody disturbs it. The ways to copy take rounds, a few
//! rounds each so that they find their own bytes in the caches, and go on for as long as one of them still gets faster: an
//! emulator's table of translated addresses grows only while it is in use, and the first rounds pay for that.

use std::hint::black_box;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use doorbell::region::{RegionError, SharedRegion, read_private_words};
use doorbell::tsc::tsc_now;

/// Rounds of a copy in each of its rounds, where it fits in a cache: the later ones find their own bytes there.
const REPEATS: usize = 3;
/// Bytes from which on a copy has one round in each round: it fits in no cache that a later round could gain from.
const LARGE: usize = 16 << 20;
/// Bytes between the two addresses at which private buffers are tried. How two buffers lie to each other can cost a factor:
/// a processor's sets of cache lines and an emulator's table of translated addresses are picked by some of an address's
/// bits, and where both buffers pick the same, they drive each other out.
const SHIFT: usize = 64 * 4096;
/// How long rounds go on at the least: short ones would else all fall into one moment in which somebody disturbs them.
const MIN_DURATION: Duration = Duration::from_millis(100);
/// How long they go on at the most, even if each is better than the one before.
const MAX_DURATION: Duration = Duration::from_secs(1);
/// A speed is better than the best one if it is higher by this factor; what is less is noise.
const MIN_GAIN: f64 = 1.02;
/// Most bytes that are hashed: enough for a steady speed, little enough where SHA-256 has no instructions of its own.
const MAX_HASHED: usize = 2 << 20;
/// Bytes that are copied out at a time to be hashed.
const CHUNK: usize = 4096;
/// Most bytes that are loaded without storing them.
const MAX_READ: usize = 2 << 20;
/// Least bytes per round, so that a short copy is not lost in the clock's grain.
const MIN_BYTES: usize = 1 << 20;
/// Readings of the clock.
const READINGS: u32 = 20_000;

/// Speeds in bytes per second, for copies of one size.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct CopyBandwidth {
    /// From private memory to private memory, by the library's memcpy.
    pub heap_to_heap: f64,
    /// From private memory into the region.
    pub heap_to_region: f64,
    /// From the region to private memory, in whichever way is the fastest here.
    pub region_to_heap: f64,
    /// Loading private memory, word by word, without storing it.
    pub heap_read: f64,
    /// The same of the region.
    pub region_read: f64,
}

/// Bytes per second that SHA-256 takes in.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct HashBandwidth {
    /// From private memory.
    pub heap: f64,
    /// From the region, through a private chunk that stays in the nearest cache: what another side may write meanwhile
    /// cannot be hashed in place.
    pub region: f64,
}

impl CopyBandwidth {
    /// Measures copies of `bytes` bytes at each of the region's `offsets`, which nobody else may use meanwhile. What is
    /// copied out goes to `target`, at least `bytes` long: the buffer and the offsets of the messages that this speed is
    /// compared with, because how fast memory is copied depends on the pages it lies in.
    pub fn measure(
        region: &SharedRegion,
        offsets: &[usize],
        bytes: usize,
        target: &mut [u8],
    ) -> Result<Self, RegionError> {
        let private = vec![1_u8; bytes + SHIFT];
        let read = vec![1_u64; bytes.min(MAX_READ) / 8];
        let room = target.len();
        let places = [0, SHIFT].into_iter().filter(|place| place + bytes <= room);
        let mut best = Self::default();
        let mut rounds = Rounds::new(offsets.len());
        while let Some(round) = rounds.next_round() {
            let offset = offsets[round % offsets.len()];
            for place in places.clone() {
                // One of the two buffers moves: the region stays where it is.
                let (from, to) = (&private[place..][..bytes], &mut target[..bytes]);
                rounds.time(&mut best.heap_to_heap, bytes, || {
                    black_box(&mut *to).copy_from_slice(black_box(from));
                    Some(Ok(()))
                })?;
                rounds.time(&mut best.heap_to_region, bytes, || Some(region.copy_in(offset, black_box(from))))?;
                // The library's copy is not always the fastest: emulated, its wide instructions are slower than plain
                // words.
                let (out, to) = (&mut best.region_to_heap, &mut target[place..][..bytes]);
                rounds.time(out, bytes, || Some(region.copy_out(offset, black_box(&mut *to))))?;
                rounds.time(out, bytes, || region.copy_out_words(offset, black_box(&mut *to)))?;
                rounds.time(out, bytes, || region.copy_out_streaming(offset, black_box(&mut *to)))?;
            }
            rounds.time(&mut best.heap_read, read.len() * 8, || {
                black_box(read_private_words(black_box(&read)));
                Some(Ok(()))
            })?;
            rounds.time(&mut best.region_read, read.len() * 8, || {
                Some(region.read_words(offset, read.len() * 8)?.map(|words| _ = black_box(words)))
            })?;
        }
        Ok(best)
    }

    /// Length of the target that [`measure`](Self::measure) makes the most of, for copies of up to `bytes` bytes.
    #[must_use]
    pub const fn target_bytes(bytes: usize) -> usize {
        bytes + SHIFT
    }
}

impl HashBandwidth {
    /// Measures at `offset` of the region, of which it takes at most `bytes`.
    pub fn measure(region: &SharedRegion, offset: usize, bytes: usize) -> Result<Self, RegionError> {
        let (private, mut chunk) = (vec![1_u8; MAX_HASHED], [0; CHUNK]);
        let chunks = bytes.min(MAX_HASHED) / CHUNK;
        let (mut best, mut rounds) = (Self::default(), Rounds::new(1));
        while rounds.next_round().is_some() {
            rounds.time(&mut best.heap, MAX_HASHED, || {
                black_box(Sha256::digest(black_box(&private)));
                Some(Ok(()))
            })?;
            rounds.time(&mut best.region, chunks * CHUNK, || {
                if chunks == 0 {
                    return None;
                }
                let mut hash = Sha256::new();
                for number in 0..chunks {
                    if let Err(error) = region.copy_out_words(offset + number * CHUNK, &mut chunk)? {
                        return Some(Err(error));
                    }
                    hash.update(black_box(&chunk));
                }
                black_box(hash.finalize());
                Some(Ok(()))
            })?;
        }
        Ok(best)
    }
}

/// Rounds of timed work, until none gets better any more.
struct Rounds {
    began: Instant,
    taken: usize,
    wanted: usize,
    /// Whether something was faster than ever before since the last round began.
    better: bool,
}

impl Rounds {
    /// At least `wanted` of them, where they do not take too long.
    fn new(wanted: usize) -> Self {
        Self { began: Instant::now(), taken: 0, wanted, better: true }
    }

    /// The next round's number, from 0 on; `None` behind the last.
    fn next_round(&mut self) -> Option<usize> {
        let since = self.began.elapsed();
        let better = std::mem::take(&mut self.better);
        let wants_more = better || self.taken < self.wanted;
        let goes_on = self.taken == 0 || since < MIN_DURATION || (wants_more && since < MAX_DURATION);
        goes_on.then(|| {
            self.taken += 1;
            self.taken - 1
        })
    }

    /// Times rounds of work on `bytes` bytes and keeps the highest speed as the `best`, in bytes per second. A way that
    /// these bytes do not allow (`None`) has no speed.
    fn time(
        &mut self,
        best: &mut f64,
        bytes: usize,
        mut work: impl FnMut() -> Option<Result<(), RegionError>>,
    ) -> Result<(), RegionError> {
        let times = (MIN_BYTES / bytes.max(1)).max(1);
        let known = *best;
        for _ in 0..if bytes < LARGE { REPEATS } else { 1 } {
            let start = Instant::now();
            for _ in 0..times {
                match work() {
                    Some(done) => done?,
                    None => return Ok(()),
                }
            }
            *best = best.max((bytes * times) as f64 / start.elapsed().as_secs_f64());
        }
        self.better |= *best > known * MIN_GAIN;
        Ok(())
    }
}

/// Nanoseconds that one [`tsc_now`] takes, by as many of them in a row.
#[must_use]
pub fn stamp_ns() -> f64 {
    let start = Instant::now();
    for _ in 0..READINGS {
        black_box(tsc_now());
    }
    start.elapsed().as_nanos() as f64 / f64::from(READINGS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_speed_is_a_number_and_the_region_holds_what_was_copied() {
        let object = memfd::MemfdOptions::default().create("ceiling-test").unwrap();
        object.as_file().set_len(1 << 20).unwrap();
        let region = SharedRegion::map_object(object.as_file()).unwrap();
        let offsets = [4096, 65536];
        let mut target = vec![0; CopyBandwidth::target_bytes(8192)];
        let speeds = CopyBandwidth::measure(&region, &offsets, 8192, &mut target).unwrap();
        let hashed = HashBandwidth::measure(&region, 4096, 8192).unwrap();
        for speed in [
            speeds.heap_to_heap,
            speeds.heap_to_region,
            speeds.region_to_heap,
            speeds.heap_read,
            speeds.region_read,
            hashed.heap,
            hashed.region,
        ] {
            assert!(speed.is_finite() && speed > 0.0, "{speeds:?}");
        }
        for offset in offsets {
            let mut copied = [0; 8192];
            region.copy_out(offset, &mut copied).unwrap();
            assert_eq!(copied, [1; 8192], "at {offset}");
        }
        let exact = CopyBandwidth::measure(&region, &[4096], 8192, &mut [0; 8192]).unwrap();
        assert!(exact.region_to_heap > 0.0, "a target with no room to move it is measured, too");
        assert!(CopyBandwidth::measure(&region, &[1 << 20], 1, &mut target).is_err());
        assert!(HashBandwidth::measure(&region, 1 << 20, 8192).is_err());
        assert!(HashBandwidth::measure(&region, 4096, 64).unwrap().region <= 0.0, "less than a chunk has no speed");
        assert!(stamp_ns() > 0.0);
    }
}
