//! Common parts of both histogram formats: the samples of each histogram, its range, and its name.

use hdrhistogram::Histogram;

use crate::io::run::{CellBlocks, Run, RunBlock};
use crate::result::metric::Metric;

/// The largest recordable latency: one hour, longer than any deadline of an operation.
const MAX_NS: u64 = 3_600_000_000_000;

/// Significant decimal digits of each value.
const DIGITS: u8 = 3;

/// Sub-buckets per bucket, which follow from the digits: the smallest power of two from 2 × 10³ on.
pub(super) const SUB_BUCKETS: u32 = 2_048;

/// Samples of a cell.
pub(super) struct Recording<'a> {
    /// Name of the cell: the name of its file and its tag in the log.
    pub(super) name: String,
    /// The blocks, each with its series in nanoseconds.
    pub(super) blocks: Vec<(RunBlock<'a>, Vec<u64>)>,
}

/// The latencies of each cell, and in an open loop the corrected latencies as `…-corrected`. Cells without samples are
/// left out.
pub(super) fn recordings(run: &Run) -> Vec<Recording<'_>> {
    run.cells()
        .iter()
        .flat_map(recordings_of_cell)
        .filter(|recording| recording.blocks.iter().any(|(_, series)| !series.is_empty()))
        .collect()
}

fn recordings_of_cell<'a>(group: &CellBlocks<'a>) -> [Recording<'a>; 2] {
    let name = group.key.file_stem();
    let of_block = |block: &RunBlock<'a>| block.ok_rows().filter_map(|row| row.corrected_ns).collect();
    let corrected = group.blocks.iter().map(|block| (*block, of_block(block))).collect();
    let blocks = group.blocks.iter().copied().zip(group.series(Metric::Latency)).collect();
    [Recording { name: format!("{name}-corrected"), blocks: corrected }, Recording { name, blocks }]
}

/// A histogram, and the number of samples beyond its range.
pub(super) fn histogram(samples: impl Iterator<Item = u64>) -> (Histogram<u64>, u64) {
    let mut histogram = Histogram::new_with_bounds(1, MAX_NS, DIGITS).expect("bounds that every version takes");
    let mut beyond = 0;
    for sample in samples {
        // A value is rejected only if it is too large.
        if histogram.record(sample).is_err() {
            beyond += 1;
        }
    }
    (histogram, beyond)
}
