//! What both histogram formats have in common: which samples go into which histogram, its range, and its name.

use hdrhistogram::Histogram;

use crate::evaluate::cells::{CellBlocks, groups};
use crate::io::run::{Run, RunBlock};
use crate::result::Metric;
use crate::result::cell_key::file_stem;

/// The longest latency that a histogram tells apart, an hour: far beyond any deadline of an operation.
const MAX_NS: u64 = 3_600_000_000_000;

/// Significant decimal digits that are kept of each value.
const DIGITS: u8 = 3;

/// Entries of a bucket, which follow from the digits: a power of two that tells 2 × 10³ values apart.
pub(super) const SUB_BUCKETS: u32 = 2_048;

/// Samples of equal blocks.
pub(super) struct Recording<'a> {
    /// Of which cell: the name of its file, and its tag in the log.
    pub(super) name: String,
    /// Nanoseconds, with the block that each series is of.
    pub(super) blocks: Vec<(RunBlock<'a>, Vec<u64>)>,
}

/// Each cell's latencies; where messages were due at some time, also those from then on, as `…-corrected`. Cells without
/// a sample are left out.
pub(super) fn recordings(run: &Run) -> Vec<Recording<'_>> {
    groups(run).iter().flat_map(of_cell).filter(|one| one.blocks.iter().any(|(_, series)| !series.is_empty())).collect()
}

fn of_cell<'a>(group: &CellBlocks<'a>) -> [Recording<'a>; 2] {
    let name = file_stem(&group.name());
    let of_block = |block: &RunBlock<'a>| block.ok_rows().filter_map(|row| row.corrected_ns).collect();
    let corrected = group.blocks().iter().map(|block| (*block, of_block(block))).collect();
    let blocks = group.blocks().iter().copied().zip(group.series(Metric::Latency)).collect();
    [Recording { name: format!("{name}-corrected"), blocks: corrected }, Recording { name, blocks }]
}

/// A histogram, and how many samples lie beyond its range.
pub(super) fn histogram(samples: impl Iterator<Item = u64>) -> (Histogram<u64>, u64) {
    let mut histogram = Histogram::new_with_bounds(1, MAX_NS, DIGITS).expect("bounds that every version takes");
    let mut beyond = 0;
    for sample in samples {
        // The only reason to refuse a value is that it is too large.
        if histogram.record(sample).is_err() {
            beyond += 1;
        }
    }
    (histogram, beyond)
}
