//! Copy speed of a block against the peak bandwidth.

use crate::raw::{PeakBandwidths, RawBlock};
use crate::samples::{Row, Status};
use crate::workload::Exchange;

/// Tolerance above the peak: a peak is the best of a few rounds, which other load affects too.
pub const TOLERANCE: f64 = 1.1;

/// Median speeds of one block, in bytes per second. `None`: not such a copy.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct CopySpeed {
    /// Frames: from the host's heap into the region.
    pub host_writes: Option<f64>,
    /// Frames: from the region to the guest's heap.
    pub guest_reads: Option<f64>,
    /// Streams: all bytes over the whole span.
    pub stream_throughput: Option<f64>,
}

/// A speed and the peak that limits it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SpeedVsPeak {
    /// The copy, as the beginning of a sentence that ends with its speed.
    pub name: &'static str,
    /// Bytes per second.
    pub speed: f64,
    /// The peak of the same side, in bytes per second.
    pub peak: f64,
}

impl SpeedVsPeak {
    /// Whether it exceeds the peak: an error, or the peak was measured with interference.
    #[must_use]
    pub fn exceeds_peak(&self) -> bool {
        self.speed > self.peak * TOLERANCE
    }
}

impl CopySpeed {
    /// The speeds of a block; only rows that ended ok count.
    #[must_use]
    pub fn from_rows(block: &RawBlock, rows: &[Row]) -> Self {
        let size = block.block.size_bytes;
        match block.block.workload.exchange() {
            Exchange::Frames => Self {
                host_writes: median_speed(size, rows, |row| row.write_ns),
                guest_reads: median_speed(size, rows, |row| row.read_ns),
                stream_throughput: None,
            },
            Exchange::Stream => Self { stream_throughput: stream_throughput(block), ..Self::default() },
            Exchange::Messages | Exchange::Storm | Exchange::Idle => Self::default(),
        }
    }

    /// Each with its peak, if both are known. A stream is written and read: the slower side limits it.
    pub fn with_peaks(self, peaks: &PeakBandwidths) -> impl Iterator<Item = SpeedVsPeak> {
        let (write, read) = (peaks.host.heap_to_region, peaks.guest.region_to_heap);
        let copies = [
            ("the host writes", self.host_writes, write),
            ("the guest reads", self.guest_reads, read),
            ("the stream runs at", self.stream_throughput, write.min(read)),
        ];
        copies
            .into_iter()
            .filter(|(_, _, peak)| *peak > 0.0)
            .filter_map(|(name, speed, peak)| Some(SpeedVsPeak { name, speed: speed?, peak }))
    }

    /// Whether one of them exceeds its peak.
    #[must_use]
    pub fn exceeds_peak(self, peaks: &PeakBandwidths) -> bool {
        self.with_peaks(peaks).any(|copy| copy.exceeds_peak())
    }
}

/// The size over the median of a leg, in bytes per second. A leg of zero counts as one nanosecond.
pub fn median_speed(size_bytes: u64, rows: &[Row], leg: fn(&Row) -> Option<u64>) -> Option<f64> {
    let mut legs: Vec<u64> = rows.iter().filter(|row| row.status == Status::Ok).filter_map(leg).collect();
    legs.sort_unstable();
    let median = *legs.get(legs.len() / 2)?;
    Some(size_bytes as f64 * 1e9 / median.max(1) as f64)
}

fn stream_throughput(block: &RawBlock) -> Option<f64> {
    let traffic = block.traffic.as_ref().filter(|traffic| traffic.span_ns > 0)?;
    Some(traffic.seen as f64 * block.block.size_bytes as f64 * 1e9 / traffic.span_ns as f64)
}
