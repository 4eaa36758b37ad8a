//! Peak bandwidth of one side's memory: how fast it is copied and hashed, and the cost of reading the clock. Host and guest
//! run the same code, so their ratio describes the machine and not the program.
//!
//! The best result counts, because a disturbance only makes a copy slower. The copy methods alternate. Each has a few
//! repetitions per round, because the later ones find their bytes in the caches. Rounds continue while one method still improves: an
//! emulator's TLB grows only while it is in use, and the first rounds pay for that.

use std::hint::black_box;
use std::time::{Duration, Instant};

use bench_model::raw::PeakBandwidth;
use doorbell::region::{RegionError, SharedRegion, read_private_words};
use doorbell::tsc::tsc_now;
use sha2::{Digest, Sha256};

use crate::memory_map::SLOTS;

/// Repetitions of a method per round, if the bytes fit in a cache: the later ones find their own bytes there.
const REPEATS: usize = 3;
/// Copies of this size and larger have one repetition per round. They fit in no cache, so repeating does not help.
const LARGE: usize = 16 << 20;
/// Distance between the two addresses tried for the private buffers. Cache sets and the entries of an emulator's TLB are
/// selected by address bits. Two buffers that select the same ones evict each other, which can halve the speed.
const SHIFT: usize = 64 * 4096;
/// Minimum duration of the rounds. Shorter ones could all coincide with one disturbance.
const MIN_DURATION: Duration = Duration::from_millis(100);
/// Maximum duration of the rounds, even if each improves on the one before.
const MAX_DURATION: Duration = Duration::from_secs(1);
/// A speed is an improvement if it is higher by this factor. Smaller differences are noise.
const MIN_GAIN: f64 = 1.02;
/// Maximum bytes to hash: enough for a steady speed, few enough for processors without SHA instructions.
const MAX_HASHED: usize = 2 << 20;
/// Bytes copied out and hashed at a time.
const CHUNK: usize = 4096;
/// Maximum bytes to load without storing them.
const MAX_READ: usize = 2 << 20;
/// Minimum bytes per repetition, because the clock's resolution would distort short copies.
const MIN_BYTES: usize = 1 << 20;
/// Clock readings to time.
const READINGS: u32 = 20_000;

/// Measures one side's peak bandwidth.
///
/// Copies `bytes` bytes to and from the region at each of `offsets`, and hashes at most `bytes` from the first slot on. The
/// other side must not use the region meanwhile. Bytes are copied out to `target`, which has at least `bytes` bytes: pass
/// the buffer and the offsets of the messages to compare with, because the speed depends on the physical pages.
pub fn measure(
    region: &SharedRegion,
    offsets: &[usize],
    bytes: usize,
    target: &mut [u8],
) -> Result<PeakBandwidth, RegionError> {
    let mut best = PeakBandwidth { stamp_ns: stamp_ns(), ..PeakBandwidth::default() };
    measure_copies(region, offsets, bytes, target, &mut best)?;
    measure_hashes(region, SLOTS, bytes, &mut best)?;
    Ok(best)
}

/// The length of [`measure`]'s target that allows two addresses, for copies of `bytes` bytes.
#[must_use]
pub const fn target_bytes(bytes: usize) -> usize {
    bytes + SHIFT
}

fn measure_copies(
    region: &SharedRegion,
    offsets: &[usize],
    bytes: usize,
    target: &mut [u8],
    best: &mut PeakBandwidth,
) -> Result<(), RegionError> {
    let private = vec![1_u8; bytes + SHIFT];
    let read = vec![1_u64; bytes.min(MAX_READ) / 8];
    let room = target.len();
    let places = [0, SHIFT].into_iter().filter(|place| place + bytes <= room);
    let mut rounds = Rounds::new(offsets.len());
    while let Some(round) = rounds.next_round() {
        let offset = offsets[round % offsets.len()];
        for place in places.clone() {
            // `place` shifts the address of the private side, never that of the region.
            let (from, to) = (&private[place..][..bytes], &mut target[..bytes]);
            rounds.time(&mut best.heap_to_heap, bytes, || {
                black_box(&mut *to).copy_from_slice(black_box(from));
                Some(Ok(()))
            })?;
            rounds.time(&mut best.heap_to_region, bytes, || Some(region.copy_in(offset, black_box(from))))?;
            // Under emulation, the wide instructions of memcpy are slower than plain words.
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
    Ok(())
}

fn measure_hashes(
    region: &SharedRegion,
    offset: usize,
    bytes: usize,
    best: &mut PeakBandwidth,
) -> Result<(), RegionError> {
    let (private, mut chunk) = (vec![1_u8; MAX_HASHED], [0; CHUNK]);
    let chunks = bytes.min(MAX_HASHED) / CHUNK;
    let mut rounds = Rounds::new(1);
    while rounds.next_round().is_some() {
        rounds.time(&mut best.sha256, MAX_HASHED, || {
            black_box(Sha256::digest(black_box(&private)));
            Some(Ok(()))
        })?;
        rounds.time(&mut best.region_sha256, chunks * CHUNK, || {
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
    Ok(())
}

/// Rounds of timed methods, until none improves.
struct Rounds {
    began: Instant,
    taken: usize,
    wanted: usize,
    /// Whether a method improved in this round.
    better: bool,
}

impl Rounds {
    /// At least `wanted` rounds, within the maximum duration.
    fn new(wanted: usize) -> Self {
        Self { began: Instant::now(), taken: 0, wanted, better: true }
    }

    /// The number of the next round, from 0; `None` after the last.
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

    /// Times repetitions of `work` on `bytes` bytes, and keeps the highest speed in `best`, in bytes per second. Work that
    /// returns `None` does not support this size.
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

/// Duration of one [`tsc_now`] in nanoseconds: the mean over many in a row.
fn stamp_ns() -> f64 {
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
    fn every_speed_is_positive_and_region_keeps_bytes() {
        let object = memfd::MemfdOptions::default().create("bandwidth-test").unwrap();
        object.as_file().set_len(8 << 20).unwrap();
        let region = SharedRegion::map_object(object.as_file()).unwrap();
        let mut target = vec![0; target_bytes(8192)];
        // One offset per measurement: on a busy machine the time limit can end the rounds after the first offset.
        for offset in [4096, 65536] {
            let peak = measure(&region, &[offset], 8192, &mut target).unwrap();
            for speed in [
                peak.heap_to_heap,
                peak.heap_to_region,
                peak.region_to_heap,
                peak.heap_read,
                peak.region_read,
                peak.sha256,
                peak.region_sha256,
                peak.stamp_ns,
            ] {
                assert!(speed.is_finite() && speed > 0.0, "{peak:?}");
            }
            let mut copied = [0; 8192];
            region.copy_out(offset, &mut copied).unwrap();
            assert_eq!(copied, [1; 8192], "at {offset}");
        }
    }

    #[test]
    fn measures_small_targets_and_refuses_bad_offsets() {
        let object = memfd::MemfdOptions::default().create("bandwidth-test").unwrap();
        object.as_file().set_len(1 << 20).unwrap();
        let region = SharedRegion::map_object(object.as_file()).unwrap();
        let mut best = PeakBandwidth::default();
        measure_copies(&region, &[4096], 8192, &mut [0; 8192], &mut best).unwrap();
        assert!(best.region_to_heap > 0.0, "a target without room for a second address is measured, too");
        assert!(measure_copies(&region, &[1 << 20], 1, &mut [0; 1], &mut best).is_err());
        assert!(measure_hashes(&region, 1 << 20, 8192, &mut best).is_err());
        measure_hashes(&region, 4096, 64, &mut best).unwrap();
        assert!(best.region_sha256 <= 0.0, "bytes below one chunk are not measured");
    }
}
