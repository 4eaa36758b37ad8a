//! The ceilings of one side: how fast its memory is copied and hashed, and what reading its clock costs. Host and guest
//! measure them with the same code, so that their ratio says something of the machine and nothing of the program.
//!
//! The best of a few rounds counts: a ceiling is what the machine can do when nobody disturbs it.

use std::hint::black_box;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use crate::clock::ticks;
use crate::region::{RegionError, SharedRegion};

/// Rounds of which the fastest counts, at the least.
const ROUNDS: usize = 5;
/// How long rounds go on at the least: short ones would else all fall into one moment in which somebody disturbs them.
const SPELL: Duration = Duration::from_millis(40);
/// Most bytes that are hashed: enough for a steady speed, little enough where SHA-256 has no instructions of its own.
const HASHED: usize = 2 << 20;
/// Most bytes that are loaded without storing them.
const READ: usize = 2 << 20;
/// Least bytes per round, so that a short copy is not lost in the clock's grain.
const LEAST: usize = 1 << 20;
/// Readings of the clock.
const READINGS: u32 = 20_000;

/// Speeds in bytes per second, for copies of one size.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CopySpeeds {
    /// From private memory to private memory, by the library's memcpy.
    pub heap_to_heap: f64,
    /// From private memory into the region.
    pub heap_to_region: f64,
    /// From the region to private memory, in whichever way is the fastest here.
    pub region_to_heap: f64,
    /// Loading private memory, word by word, without storing it.
    pub heap_read: f64,
}

impl CopySpeeds {
    /// Measures copies of `bytes` bytes at `offset` of the region, which nobody else may use meanwhile.
    pub fn measure(region: &SharedRegion, offset: usize, bytes: usize) -> Result<Self, RegionError> {
        let (from, mut to) = (vec![1_u8; bytes], vec![2_u8; bytes]);
        Ok(Self {
            heap_to_heap: fastest(bytes, || {
                black_box(&mut to).copy_from_slice(black_box(&from));
                Ok(())
            })?,
            heap_to_region: fastest(bytes, || region.copy_in(offset, black_box(&from)))?,
            region_to_heap: read_out(region, offset, &mut to)?,
            heap_read: fastest(bytes.min(READ), || {
                let words = from[..bytes.min(READ)]
                    .chunks_exact(8)
                    .map(|word| word.iter().fold(0, |sum, byte| sum ^ u64::from(*byte)));
                black_box(words.fold(0, |sum, word| sum ^ word));
                Ok(())
            })?,
        })
    }
}

/// The library's copy is not always the fastest: emulated, its wide instructions are slower than plain words.
fn read_out(region: &SharedRegion, offset: usize, to: &mut [u8]) -> Result<f64, RegionError> {
    let bytes = to.len();
    let whole = fastest(bytes, || region.copy_out(offset, black_box(to)))?;
    let words = fastest(bytes, || region.copy_out_words(offset, black_box(to)).unwrap_or(Ok(())));
    let streams = fastest(bytes, || region.copy_out_streaming(offset, black_box(to)).unwrap_or(Ok(())));
    // A way that these bytes do not allow copies nothing, and must not count.
    let words = words.ok().filter(|_| bytes.is_multiple_of(8) && offset.is_multiple_of(8)).unwrap_or(0.0);
    let can_stream = is_x86_feature_detected!("sse4.1") && bytes.is_multiple_of(16) && offset.is_multiple_of(16);
    let streams = streams.ok().filter(|_| can_stream).unwrap_or(0.0);
    Ok(whole.max(words).max(streams))
}

/// Bytes per second that SHA-256 takes in, from private memory.
#[must_use]
pub fn sha256_speed() -> f64 {
    let bytes = vec![1_u8; HASHED];
    let hash = || {
        black_box(Sha256::digest(black_box(&bytes)));
        Ok(())
    };
    fastest(HASHED, hash).unwrap_or(0.0)
}

/// Nanoseconds that one [`ticks`] takes, by as many of them in a row.
#[must_use]
pub fn stamp_ns() -> f64 {
    let start = Instant::now();
    for _ in 0..READINGS {
        black_box(ticks());
    }
    start.elapsed().as_nanos() as f64 / f64::from(READINGS)
}

fn fastest(bytes: usize, mut work: impl FnMut() -> Result<(), RegionError>) -> Result<f64, RegionError> {
    let times = (LEAST / bytes.max(1)).max(1);
    // The first round faults pages in.
    work()?;
    let mut best = f64::MAX;
    let began = Instant::now();
    let mut rounds = 0;
    while rounds < ROUNDS || began.elapsed() < SPELL {
        rounds += 1;
        let start = Instant::now();
        for _ in 0..times {
            work()?;
        }
        best = best.min(start.elapsed().as_secs_f64());
    }
    Ok((bytes * times) as f64 / best)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_speed_is_a_number_and_the_region_holds_what_was_copied() {
        let object = memfd::MemfdOptions::default().create("ceiling-test").unwrap();
        object.as_file().set_len(1 << 20).unwrap();
        let region = SharedRegion::map_object(object.as_file()).unwrap();
        let speeds = CopySpeeds::measure(&region, 4096, 8192).unwrap();
        for speed in [speeds.heap_to_heap, speeds.heap_to_region, speeds.region_to_heap, speeds.heap_read] {
            assert!(speed.is_finite() && speed > 0.0, "{speeds:?}");
        }
        let mut copied = [0; 8192];
        region.copy_out(4096, &mut copied).unwrap();
        assert_eq!(copied, [1; 8192]);
        assert!(CopySpeeds::measure(&region, 1 << 20, 1).is_err());
        assert!(sha256_speed() > 0.0 && stamp_ns() > 0.0);
    }
}
