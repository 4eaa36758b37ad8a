//! Peak bandwidth of host and guest, one after the other: measured before the first and after the last block, and
//! around blocks that copy. Repeated because the load of the machine changes.

use bench_model::Block;
use bench_model::copy_speed::CopySpeed;
use bench_model::raw::{PeakBandwidth, PeakBandwidths};
use bench_protocol::control::{BlockKind, BlockParams};
use bench_protocol::hello;
use bench_protocol::peak_bandwidth::{measure, target_bytes};

use super::BenchError;
use super::guest::Guest;

/// Extra measurements of a peak that a block exceeded.
const MAX_REPEATS: u32 = 3;

/// The best values so far: a disturbance rarely affects all measurements.
pub(super) struct PeakTracker {
    /// By size, in the order of the plan.
    pub(super) known: Vec<PeakBandwidths>,
    /// Copy speed of the blocks, with their sizes.
    pub(super) copied: Vec<(u64, CopySpeed)>,
}

impl PeakTracker {
    /// Starts without values for these sizes.
    pub(super) fn new(sizes: &[u64]) -> Self {
        let known =
            sizes.iter().map(|&size_bytes| PeakBandwidths { size_bytes, ..PeakBandwidths::default() }).collect();
        Self { known, copied: Vec::new() }
    }

    /// Measures every size.
    pub(super) fn measure_all(&mut self, guest: &mut Guest<'_, '_>) -> Result<(), BenchError> {
        self.known.iter_mut().try_for_each(|known| update_peak(known, guest))
    }

    /// Measures the sizes of the blocks before and at `position`, if both differ and copy.
    pub(super) fn remeasure_before(
        &mut self,
        position: usize,
        blocks: &[Block],
        guest: &mut Guest<'_, '_>,
    ) -> Result<(), BenchError> {
        let copied = |block: &Block| block.workload.copies().then_some((block.workload, block.size_bytes));
        let last = position.checked_sub(1).and_then(|last| blocks.get(last)).and_then(copied);
        let next = blocks.get(position).and_then(copied);
        if last == next {
            return Ok(());
        }
        let sizes = [last, next].map(|block| block.map(|(_, size)| size));
        let concerned = self.known.iter_mut().filter(|known| sizes.contains(&Some(known.size_bytes)));
        concerned.into_iter().try_for_each(|known| update_peak(known, guest))
    }

    /// Repeats the measurement of peaks that a block exceeded. Either every measurement was disturbed, which a
    /// repetition corrects, or the value of the block is wrong.
    pub(super) fn remeasure_exceeded(&mut self, guest: &mut Guest<'_, '_>) -> Result<(), BenchError> {
        for known in &mut self.known {
            for _ in 0..MAX_REPEATS {
                let mut blocks = self.copied.iter().filter(|(size, _)| *size == known.size_bytes);
                if !blocks.any(|(_, copies)| copies.exceeds_peak(known)) {
                    break;
                }
                update_peak(known, guest)?;
            }
        }
        Ok(())
    }
}

fn update_peak(known: &mut PeakBandwidths, guest: &mut Guest<'_, '_>) -> Result<(), BenchError> {
    let (words, size) = (guest.words, known.size_bytes);
    let bytes = usize::try_from(size).unwrap_or(usize::MAX);
    let mut target = vec![2; target_bytes(bytes)];
    let of_host = measure(words.memory, &words.layout.copy_offsets(bytes), bytes, &mut target)?;
    guest.begin(BlockParams { bytes: size, ..BlockParams::polling(BlockKind::PeakBandwidth, 1, 1) }, 0)?;
    guest.end_spinning()?;
    // Invalid JSON leaves the values of the guest unknown.
    let of_guest = serde_json::from_str(&hello::read_text(words.memory)?).unwrap_or_default();
    known.host = higher(known.host, of_host);
    known.guest = higher(known.guest, of_guest);
    Ok(())
}

fn higher(first: PeakBandwidth, second: PeakBandwidth) -> PeakBandwidth {
    // Durations: the smallest counts; 0 means unknown.
    let stamps = [first.stamp_ns, second.stamp_ns].into_iter().filter(|ns| *ns > 0.0);
    PeakBandwidth {
        heap_to_heap: first.heap_to_heap.max(second.heap_to_heap),
        heap_to_region: first.heap_to_region.max(second.heap_to_region),
        region_to_heap: first.region_to_heap.max(second.region_to_heap),
        heap_read: first.heap_read.max(second.heap_read),
        region_read: first.region_read.max(second.region_read),
        sha256: first.sha256.max(second.sha256),
        region_sha256: first.region_sha256.max(second.region_sha256),
        stamp_ns: stamps.reduce(f64::min).unwrap_or(0.0),
    }
}
