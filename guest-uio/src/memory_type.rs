//! What kind of memory a mapping is, by what it costs: the kernel's word for it is not enough, because the hypervisor may
//! override it (KVM on Intel makes every mapping write-back, KVM on AMD obeys the guest).

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use proto::region::{RegionError, SharedRegion};
use serde_json::{Value, json};

/// Dependent loads over one cache line. From memory that is not cached each takes a hundred nanoseconds and more.
const LOADS: u32 = 100_000;
/// Below this a load was answered by a cache.
const CACHED_BELOW_NS: f64 = 10.0;
/// So was one that costs not much more than from private memory: under emulation every load takes that long.
const CACHED_BELOW_RATIO: f64 = 3.0;
/// Bytes copied at a time: more than a second-level cache holds.
const COPY: usize = 8 << 20;
/// Copies of which the fastest counts.
const ROUNDS: usize = 3;

/// A mapping's behaviour.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MemoryType {
    /// Nanoseconds per load that depends on the load before.
    pub ns_per_load: f64,
    /// The same from private memory.
    pub private_ns_per_load: f64,
    /// Gigabytes (10⁹) per second copied out of the mapping.
    pub read_gb_per_s: f64,
    /// The same with streaming loads, which help where memory is write-combined; `None`: the processor has none.
    pub streaming_read_gb_per_s: Option<f64>,
    /// Gigabytes (10⁹) per second copied into it; `None`: not tried, because it overwrites.
    pub write_gb_per_s: Option<f64>,
}

impl MemoryType {
    /// Measures without changing anything.
    pub fn measure(region: &SharedRegion) -> Result<Self, RegionError> {
        let (at, mut private) = window(region);
        Self::new(region, at, &mut private, None)
    }

    /// Measures both directions. The last 8 MiB are written back as they were read: nobody else may write them meanwhile.
    pub fn measure_exclusively(region: &SharedRegion) -> Result<Self, RegionError> {
        let (at, mut private) = window(region);
        region.copy_out(at, &mut private)?;
        let write = fastest(private.len(), || region.copy_in(at, &private))?;
        Self::new(region, at, &mut private, Some(write))
    }

    fn new(
        region: &SharedRegion,
        at: usize,
        private_copy: &mut [u8],
        write_gb_per_s: Option<f64>,
    ) -> Result<Self, RegionError> {
        let bytes = private_copy.len();
        let read_gb_per_s = fastest(bytes, || region.copy_out(at, private_copy))?;
        let streaming_read_gb_per_s = match region.copy_out_streaming(at, private_copy) {
            Some(_) => Some(fastest(bytes, || region.copy_out_streaming(at, private_copy).unwrap_or(Ok(())))?),
            None => None,
        };
        let line = region.len() - 64;
        let shared: Vec<&AtomicU64> = (0..8).map(|i| region.word(line + 8 * i)).collect::<Result<_, _>>()?;
        let private: Vec<AtomicU64> = (0..8).map(AtomicU64::new).collect();
        let private: Vec<&AtomicU64> = private.iter().collect();
        let (ns_per_load, private_ns_per_load) = (ns_per_load(&shared), ns_per_load(&private));
        Ok(Self { ns_per_load, private_ns_per_load, read_gb_per_s, streaming_read_gb_per_s, write_gb_per_s })
    }

    /// Whether caches answer.
    #[must_use]
    pub fn is_cached(&self) -> bool {
        self.ns_per_load < CACHED_BELOW_NS.max(self.private_ns_per_load * CACHED_BELOW_RATIO)
    }

    /// Under the names of the result's schema.
    #[must_use]
    pub fn facts(&self) -> Value {
        json!({
            "cached": self.is_cached(),
            "ns_per_load": round(self.ns_per_load),
            "private_ns_per_load": round(self.private_ns_per_load),
            "read_gb_per_s": round(self.read_gb_per_s),
            "streaming_read_gb_per_s": self.streaming_read_gb_per_s.map(round),
            "write_gb_per_s": self.write_gb_per_s.map(round),
        })
    }
}

fn round(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

/// The end of the region, and private memory of the same size.
fn window(region: &SharedRegion) -> (usize, Vec<u8>) {
    let len = region.len().min(COPY);
    (region.len() - len, vec![1; len])
}

fn fastest(bytes: usize, mut copy: impl FnMut() -> Result<(), RegionError>) -> Result<f64, RegionError> {
    // The first round faults pages in.
    copy()?;
    let mut best = f64::MAX;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        copy()?;
        best = best.min(start.elapsed().as_secs_f64());
    }
    Ok(bytes as f64 / best / 1e9)
}

fn ns_per_load(words: &[&AtomicU64]) -> f64 {
    let mut index = 0;
    let start = Instant::now();
    for _ in 0..LOADS {
        // The value decides, as far as the compiler knows, which word is next: no load can start before the last ended.
        let value = words[index].load(Ordering::Relaxed);
        index = usize::from(black_box(value) == u64::MAX);
    }
    start.elapsed().as_nanos() as f64 / f64::from(LOADS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn ordinary_memory_is_cached_and_keeps_its_content() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(16 << 20).unwrap();
        let region = SharedRegion::map_object(file.as_fd()).unwrap();
        region.copy_in(region.len() - 5, b"still").unwrap();
        let kind = MemoryType::measure_exclusively(&region).unwrap();
        assert!(kind.write_gb_per_s.is_some());
        let mut kept = [0; 5];
        region.copy_out(region.len() - 5, &mut kept).unwrap();
        assert_eq!(&kept, b"still");
    }

    #[test]
    fn the_kind_follows_the_cost_of_a_load() {
        let kind = MemoryType {
            ns_per_load: 1.5,
            private_ns_per_load: 1.4,
            read_gb_per_s: 10.0,
            streaming_read_gb_per_s: None,
            write_gb_per_s: None,
        };
        assert!(kind.is_cached());
        assert!(!MemoryType { ns_per_load: 155.0, ..kind }.is_cached());
        let emulated = MemoryType { ns_per_load: 12.0, private_ns_per_load: 10.0, ..kind };
        assert!(emulated.is_cached(), "an emulated load takes that long from anywhere");
    }
}
