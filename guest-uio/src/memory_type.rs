//! Finds the memory type of a mapping by timing loads. The kernel's attribute is not enough, because the hypervisor may
//! override it: KVM on Intel makes every mapping write-back, KVM on AMD follows the guest.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use doorbell::region::{RegionError, SharedRegion};
use serde_json::{Value, json};

/// Dependent loads per round, over one cache line. From uncached memory each takes a hundred nanoseconds and more.
const LOADS: u32 = 20_000;
/// Rounds of loads, alternating between the region and private memory. The fastest round of each counts: a preempted round
/// is only ever slower, and a preemption falls into one round.
const LOAD_ROUNDS: usize = 16;
/// Below this a load was answered by a cache.
const CACHED_BELOW_NS: f64 = 10.0;
/// So was one that costs not much more than from private memory: a slow processor takes longer for any load.
const CACHED_BELOW_RATIO: f64 = 3.0;
/// The hypervisor leaf of CPUID, and the signature that QEMU's translator puts there (`target/i386/cpu.c` of QEMU).
const HYPERVISOR_LEAF: u32 = 0x4000_0000;
const TCG_SIGNATURE: &[u8; 12] = b"TCGTCGTCGTCG";
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
    /// Whether the processor is emulated: an emulator ignores memory types, so the cost of a load shows none.
    pub emulated: bool,
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
        let (ns_per_load, private_ns_per_load) = least_of_rounds(|| ns_per_load(&shared), || ns_per_load(&private));
        let emulated = is_emulated();
        Ok(Self { ns_per_load, private_ns_per_load, read_gb_per_s, streaming_read_gb_per_s, write_gb_per_s, emulated })
    }

    /// Whether loads are answered by a cache; `None` under emulation, which has no memory types.
    #[must_use]
    pub fn is_cached(&self) -> Option<bool> {
        let limit = CACHED_BELOW_NS.max(self.private_ns_per_load * CACHED_BELOW_RATIO);
        (!self.emulated).then_some(self.ns_per_load < limit)
    }

    /// Under the names of the result's schema.
    #[must_use]
    pub fn to_json(&self) -> Value {
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

/// The least of both timings over several rounds that alternate, so that a disturbance of a few rounds changes neither.
fn least_of_rounds(mut shared: impl FnMut() -> f64, mut private: impl FnMut() -> f64) -> (f64, f64) {
    (0..LOAD_ROUNDS)
        .fold((f64::MAX, f64::MAX), |(least, least_private), _| (least.min(shared()), least_private.min(private())))
}

/// Whether QEMU's translator (TCG) executes this program.
fn is_emulated() -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        let leaf = std::arch::x86_64::__cpuid(HYPERVISOR_LEAF);
        is_tcg([leaf.ebx, leaf.ecx, leaf.edx])
    }
    #[cfg(not(target_arch = "x86_64"))]
    false
}

fn is_tcg(registers: [u32; 3]) -> bool {
    registers.map(u32::to_le_bytes).concat() == TCG_SIGNATURE
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
    fn verdict_follows_cost_of_a_load() {
        assert_eq!(kind(1.5, 1.4).is_cached(), Some(true));
        assert_eq!(kind(155.0, 1.4).is_cached(), Some(false));
        assert_eq!(kind(12.0, 10.0).is_cached(), Some(true), "all loads are slow here");
    }

    #[test]
    fn emulation_gets_no_verdict() {
        for ns in [13.0, 56.0, 163.0] {
            let emulated = MemoryType { emulated: true, ..kind(ns, 13.0) };
            assert_eq!(emulated.is_cached(), None);
            assert!(emulated.to_json()["cached"].is_null(), "{}", emulated.to_json());
        }
        assert!(is_tcg([0x5447_4354, 0x4354_4743, 0x4743_5447]));
        assert!(!is_tcg([0x4b4d_564b, 0x564b_4d56, 0x4d]), "KVMKVMKVM");
    }

    /// Timings that are `ns`, and disturbed in all rounds but one.
    fn disturbed(ns: f64, quiet_round: usize) -> impl FnMut() -> f64 {
        let mut round = 0;
        move || {
            round += 1;
            if round == quiet_round + 1 { ns } else { ns * 40.0 }
        }
    }

    #[test]
    fn one_undisturbed_round_of_each_is_enough() {
        for (shared_quiet, private_quiet) in [(0, LOAD_ROUNDS - 1), (LOAD_ROUNDS - 1, 0), (5, 5)] {
            let (shared, private) = least_of_rounds(disturbed(1.5, shared_quiet), disturbed(1.4, private_quiet));
            assert_eq!((shared, private), (1.5, 1.4));
            assert_eq!(kind(shared, private).is_cached(), Some(true));
            let (uncached, private) = least_of_rounds(disturbed(150.0, shared_quiet), disturbed(1.4, private_quiet));
            assert_eq!(kind(uncached, private).is_cached(), Some(false));
        }
    }

    #[test]
    fn rounds_alternate_between_both_memories() {
        let order = std::cell::RefCell::new(String::new());
        let timed = |name: char| {
            order.borrow_mut().push(name);
            1.0
        };
        least_of_rounds(|| timed('s'), || timed('p'));
        assert_eq!(order.into_inner(), "sp".repeat(LOAD_ROUNDS));
    }
}
