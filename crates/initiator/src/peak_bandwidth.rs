//! What each side's memory can do, one side after the other: measured before the first block, behind the last, and
//! wherever blocks begin or end that copy, because what others do to the machine changes from minute to minute.

use bench_model::copy_speed::CopySpeed;
use bench_model::raw::{PeakBandwidth, PeakBandwidths};
use bench_model::{Block, Workload};
use bench_protocol::control::{BlockKind, BlockParams, WaitMode};
use bench_protocol::hello;
use bench_protocol::peak_bandwidth::{measure, target_bytes};

use super::BenchError;
use super::guest::Guest;
use super::run_monitor::RunMonitor;
use super::shared_words::SharedWords;

/// How often a ceiling that a block exceeded is measured again.
const AGAIN: u32 = 3;

/// The best that was seen so far: whoever disturbed one measurement need not have disturbed the next.
pub(super) struct PeakTracker {
    /// By size, in the plan's order.
    pub(super) known: Vec<PeakBandwidths>,
    /// How fast blocks copied, by their size.
    copied: Vec<(u64, CopySpeed)>,
}

impl PeakTracker {
    /// Of these sizes nothing is known yet.
    pub(super) fn new(sizes: &[u64]) -> Self {
        let known =
            sizes.iter().map(|&size_bytes| PeakBandwidths { size_bytes, ..PeakBandwidths::default() }).collect();
        Self { known, copied: Vec::new() }
    }

    /// Measures every size.
    pub(super) fn measure_all(
        &mut self,
        words: &SharedWords<'_>,
        guest: &mut Guest<'_>,
        monitor: &mut RunMonitor<'_>,
    ) -> Result<(), BenchError> {
        self.known.iter_mut().try_for_each(|known| update_peak(known, words, guest, monitor))
    }

    /// Measures the size that the block before `position` ended with and the one that the next begins with, where the two
    /// differ and are copied.
    pub(super) fn remeasure_before(
        &mut self,
        position: usize,
        blocks: &[Block],
        (words, guest, monitor): (&SharedWords<'_>, &mut Guest<'_>, &mut RunMonitor<'_>),
    ) -> Result<(), BenchError> {
        let copied = |block: &Block| {
            matches!(block.workload, Workload::Frame | Workload::Stream).then_some((block.workload, block.size_bytes))
        };
        let last = position.checked_sub(1).and_then(|last| blocks.get(last)).and_then(copied);
        let next = blocks.get(position).and_then(copied);
        if last == next {
            return Ok(());
        }
        let sizes = [last, next].map(|block| block.map(|(_, size)| size));
        let concerned = self.known.iter_mut().filter(|known| sizes.contains(&Some(known.size_bytes)));
        concerned.into_iter().try_for_each(|known| update_peak(known, words, guest, monitor))
    }

    /// Keeps how fast a block copied, for [`remeasure_exceeded`](Self::remeasure_exceeded).
    pub(super) fn record_copy_speed(&mut self, size_bytes: u64, copies: CopySpeed) {
        self.copied.push((size_bytes, copies));
    }

    /// Measures those again that a block seems to have exceeded. Either a ceiling was disturbed each time, which another
    /// measurement may mend, or the block's figure is false, which none does.
    pub(super) fn remeasure_exceeded(
        &mut self,
        words: &SharedWords<'_>,
        guest: &mut Guest<'_>,
        monitor: &mut RunMonitor<'_>,
    ) -> Result<(), BenchError> {
        for known in &mut self.known {
            for _ in 0..AGAIN {
                let mut blocks = self.copied.iter().filter(|(size, _)| *size == known.size_bytes);
                if !blocks.any(|(_, copies)| copies.exceeds_peak(known)) {
                    break;
                }
                update_peak(known, words, guest, monitor)?;
            }
        }
        Ok(())
    }
}

fn update_peak(
    known: &mut PeakBandwidths,
    words: &SharedWords<'_>,
    guest: &mut Guest<'_>,
    monitor: &mut RunMonitor<'_>,
) -> Result<(), BenchError> {
    let seen = both(words, guest, monitor, known.size_bytes)?;
    known.host = higher(known.host, seen.host);
    known.guest = higher(known.guest, seen.guest);
    Ok(())
}

fn higher(first: PeakBandwidth, second: PeakBandwidth) -> PeakBandwidth {
    // Of what takes time, the least counts; nothing known yet is none.
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

fn both(
    words: &SharedWords<'_>,
    guest: &mut Guest<'_>,
    monitor: &mut RunMonitor<'_>,
    size: u64,
) -> Result<PeakBandwidths, BenchError> {
    let bytes = usize::try_from(size).unwrap_or(usize::MAX);
    let mut target = vec![2; target_bytes(bytes)];
    let host = measure(words.memory, &words.layout.copy_offsets(bytes), bytes, &mut target)?;
    let announcement = BlockParams {
        kind: BlockKind::PeakBandwidth,
        guest_wait: WaitMode::Poll,
        host_wait: WaitMode::Poll,
        operations: 1,
        first_seq: 1,
        spin_ticks: 0,
        slots: 0,
        bytes: size,
        always_ring: false,
        stamped: false,
        fault: None,
    };
    guest.begin(announcement, monitor, 0)?;
    guest.end_spinning(monitor, 0)?;
    // What a guest says is shown: words that make no sense leave its ceilings unknown.
    let guest = serde_json::from_str(&hello::read_text(words.memory)?).unwrap_or_default();
    Ok(PeakBandwidths { size_bytes: size, host, guest })
}
