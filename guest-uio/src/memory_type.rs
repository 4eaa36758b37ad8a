//! Determines the memory type of a mapping by timing loads. The guest kernel's attribute is not reliable, because the
//! hypervisor may override it: KVM on Intel makes every mapping write-back, KVM on AMD follows the guest.

use std::fmt;
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use doorbell::region::{RegionError, SharedRegion};
use serde::Serialize;

/// Dependent loads per round, over one cache line. A load from uncached memory takes at least 100 ns.
const LOADS: u32 = 20_000;
/// Rounds of loads, alternating between the region and private memory. The fastest round of each counts, because
/// preemption only makes a round slower.
const LOAD_ROUNDS: usize = 16;
/// A faster load was served by a cache.
const CACHED_BELOW_NS: f64 = 10.0;
/// A load below this ratio to private memory was also served by a cache: on a slow processor every load is slow.
const CACHED_BELOW_RATIO: f64 = 3.0;
/// The hypervisor leaf of CPUID, and the signature that QEMU's translator puts there (`target/i386/cpu.c` of QEMU).
const HYPERVISOR_LEAF: u32 = 0x4000_0000;
const TCG_SIGNATURE: &[u8; 12] = b"TCGTCGTCGTCG";
/// Bytes per copy: larger than a second-level cache.
const COPY_BYTES: usize = 8 << 20;
/// Copies per measurement; the fastest counts.
const COPY_ROUNDS: usize = 3;

/// Measured properties of a mapping.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MemoryType {
    /// Nanoseconds per dependent load.
    pub ns_per_load: f64,
    /// Nanoseconds per dependent load from private memory.
    pub private_ns_per_load: f64,
    /// Copy rate out of the mapping, in GB/s (10⁹ bytes).
    pub read_gb_per_s: f64,
    /// Copy rate with streaming loads, which are faster on write-combined memory. `None` if the processor lacks them.
    pub streaming_read_gb_per_s: Option<f64>,
    /// Copy rate into the mapping, in GB/s. `None` if not measured, because measuring overwrites the memory.
    pub write_gb_per_s: Option<f64>,
    /// Whether the processor is emulated. An emulator ignores memory types, and load timings do not show them.
    pub emulated: bool,
}

impl MemoryType {
    /// Measures loads and reads. Does not change the memory.
    pub fn measure(region: &SharedRegion) -> Result<Self, RegionError> {
        let (at, mut private) = window(region, 0);
        Self::new(region, at, &mut private, None)
    }

    /// Also measures writes. Overwrites up to 8 MiB at the end, but nothing before `first`, with their own content: no
    /// other peer may write to them meanwhile.
    pub fn measure_exclusively(region: &SharedRegion, first: usize) -> Result<Self, RegionError> {
        let (at, mut private) = window(region, first);
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
        let (ns_per_load, private_ns_per_load) = least_of_rounds(|| ns_per_load(&shared), || ns_per_load(&private));
        let emulated = is_emulated();
        Ok(Self { ns_per_load, private_ns_per_load, read_gb_per_s, streaming_read_gb_per_s, write_gb_per_s, emulated })
    }

    /// Whether a cache serves loads. `None` under emulation, where memory types have no effect.
    #[must_use]
    pub fn is_cached(&self) -> Option<bool> {
        let limit = CACHED_BELOW_NS.max(self.private_ns_per_load * CACHED_BELOW_RATIO);
        (!self.emulated).then_some(self.ns_per_load < limit)
    }
}

/// A memory type as `probe` reports it, rounded to two decimals.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct MemoryTypeReport {
    /// Whether a cache serves loads. `None` under emulation.
    pub cached: Option<bool>,
    /// Nanoseconds per dependent load.
    pub ns_per_load: f64,
    /// Nanoseconds per dependent load from private memory.
    pub private_ns_per_load: f64,
    /// Copy rate out of the mapping, in GB/s (10⁹ bytes).
    pub read_gb_per_s: f64,
    /// The same with streaming loads. `None` if the processor lacks them.
    pub streaming_read_gb_per_s: Option<f64>,
    /// Copy rate into the mapping. `None`: not measured.
    pub write_gb_per_s: Option<f64>,
}

impl From<MemoryType> for MemoryTypeReport {
    fn from(kind: MemoryType) -> Self {
        Self {
            cached: kind.is_cached(),
            ns_per_load: round(kind.ns_per_load),
            private_ns_per_load: round(kind.private_ns_per_load),
            read_gb_per_s: round(kind.read_gb_per_s),
            streaming_read_gb_per_s: kind.streaming_read_gb_per_s.map(round),
            write_gb_per_s: kind.write_gb_per_s.map(round),
        }
    }
}

impl fmt::Display for MemoryTypeReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.cached {
            Some(true) => "cached",
            Some(false) => "not cached",
            None => "memory type not measurable under emulation",
        };
        let Self { ns_per_load, private_ns_per_load, read_gb_per_s, .. } = self;
        write!(
            f,
            "{kind}: {ns_per_load} ns per load ({private_ns_per_load} from private memory), read {read_gb_per_s} GB/s"
        )
    }
}

fn round(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

/// The end of the region from `first` on, and private memory of the same size.
fn window(region: &SharedRegion, first: usize) -> (usize, Vec<u8>) {
    let len = (region.len() - first).min(COPY_BYTES);
    (region.len() - len, vec![1; len])
}

fn fastest(bytes: usize, mut copy: impl FnMut() -> Result<(), RegionError>) -> Result<f64, RegionError> {
    // The first copy faults pages in.
    copy()?;
    let mut best = f64::MAX;
    for _ in 0..COPY_ROUNDS {
        let start = Instant::now();
        copy()?;
        best = best.min(start.elapsed().as_secs_f64());
    }
    Ok(bytes as f64 / best / 1e9)
}

/// The minimum of both timings over alternating rounds. Disturbed rounds do not affect a minimum.
fn least_of_rounds(mut shared: impl FnMut() -> f64, mut private: impl FnMut() -> f64) -> (f64, f64) {
    (0..LOAD_ROUNDS)
        .fold((f64::MAX, f64::MAX), |(least, least_private), _| (least.min(shared()), least_private.min(private())))
}

/// Whether QEMU's translator (TCG) executes this program.
fn is_emulated() -> bool {
    let leaf = std::arch::x86_64::__cpuid(HYPERVISOR_LEAF);
    is_tcg([leaf.ebx, leaf.ecx, leaf.edx])
}

fn is_tcg(registers: [u32; 3]) -> bool {
    registers.map(u32::to_le_bytes).concat() == TCG_SIGNATURE
}

fn ns_per_load(words: &[&AtomicU64]) -> f64 {
    let mut index = 0;
    let start = Instant::now();
    for _ in 0..LOADS {
        // The next index depends on the loaded value, so loads cannot overlap. `black_box` hides that it is always 0.
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
    fn measuring_writes_keeps_content() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(16 << 20).unwrap();
        let region = SharedRegion::map_object(file.as_fd()).unwrap();
        region.copy_in(region.len() - 5, b"still").unwrap();
        let kind = MemoryType::measure_exclusively(&region, 0).unwrap();
        assert!(kind.write_gb_per_s.is_some());
        let mut kept = [0; 5];
        region.copy_out(region.len() - 5, &mut kept).unwrap();
        assert_eq!(&kept, b"still");
    }

    #[test]
    fn window_excludes_control_pages_of_a_small_region() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(6 << 20).unwrap();
        let region = SharedRegion::map_object(file.as_fd()).unwrap();
        let (at, private) = window(&region, 4 << 20);
        assert_eq!((at, private.len()), (4 << 20, 2 << 20));
        assert_eq!(window(&region, 0).0, 0);
    }

    fn kind(ns_per_load: f64, private_ns_per_load: f64) -> MemoryType {
        MemoryType {
            ns_per_load,
            private_ns_per_load,
            read_gb_per_s: 10.0,
            streaming_read_gb_per_s: None,
            write_gb_per_s: None,
            emulated: false,
        }
    }

    #[test]
    fn cached_follows_from_cost_of_a_load() {
        assert_eq!(kind(1.5, 1.4).is_cached(), Some(true));
        assert_eq!(kind(155.0, 1.4).is_cached(), Some(false));
        assert_eq!(kind(12.0, 10.0).is_cached(), Some(true), "slow processor");
    }

    #[test]
    fn memory_type_is_unknown_under_emulation() {
        for ns in [13.0, 56.0, 163.0] {
            let emulated = MemoryType { emulated: true, ..kind(ns, 13.0) };
            assert_eq!(emulated.is_cached(), None);
            let text = MemoryTypeReport::from(emulated).to_string();
            assert!(text.starts_with("memory type not measurable under emulation: "), "{text}");
        }
        assert!(is_tcg([0x5447_4354, 0x4354_4743, 0x4743_5447]));
        assert!(!is_tcg([0x4b4d_564b, 0x564b_4d56, 0x4d]), "KVMKVMKVM");
    }

    /// Timings of `ns`, 40 times slower in all rounds except one.
    fn disturbed(ns: f64, quiet_round: usize) -> impl FnMut() -> f64 {
        let mut round = 0;
        move || {
            round += 1;
            if round == quiet_round + 1 { ns } else { ns * 40.0 }
        }
    }

    #[test]
    fn one_undisturbed_round_per_memory_suffices() {
        for (shared_quiet, private_quiet) in [(0, LOAD_ROUNDS - 1), (LOAD_ROUNDS - 1, 0), (5, 5)] {
            let (shared, private) = least_of_rounds(disturbed(1.5, shared_quiet), disturbed(1.4, private_quiet));
            assert_eq!((shared, private), (1.5, 1.4));
            assert_eq!(kind(shared, private).is_cached(), Some(true));
            let (uncached, private) = least_of_rounds(disturbed(150.0, shared_quiet), disturbed(1.4, private_quiet));
            assert_eq!(kind(uncached, private).is_cached(), Some(false));
        }
    }

    #[test]
    fn rounds_alternate_between_memories() {
        let order = std::cell::RefCell::new(String::new());
        let timed = |name: char| {
            order.borrow_mut().push(name);
            1.0
        };
        least_of_rounds(|| timed('s'), || timed('p'));
        assert_eq!(order.into_inner(), "sp".repeat(LOAD_ROUNDS));
    }
}
