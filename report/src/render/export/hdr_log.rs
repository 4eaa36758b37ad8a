//! `run.hlog`: the latencies of every block as a compressed histogram, with its cell as tag, its start and its
//! duration. The format is the interval log of `HdrHistogram` (format 1.3, histograms V2). Values are nanoseconds;
//! `Interval_Max` is in milliseconds.

use std::io::{self, Write};
use std::time::{Duration, SystemTime};

use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};

use super::hdr::{histogram, recordings};
use crate::io::run::{Run, RunBlock};
use crate::result::RunResult;

const LEGEND: &str = r#""StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram""#;

const NS_PER_MS: f64 = 1e6;

pub(super) fn write(result: &RunResult, run: &Run, mut out: &mut dyn Write) -> io::Result<()> {
    let recordings = recordings(run);
    let series =
        recordings.iter().flat_map(|cell| cell.blocks.iter().map(move |(block, samples)| (cell, block, samples)));
    let mut intervals: Vec<_> = series
        .filter(|(_, _, samples)| !samples.is_empty())
        .map(|(cell, block, samples)| (span(block), &cell.name, samples))
        .collect();
    // Readers expect the lines in order of time.
    intervals.sort_by_key(|((start, _), ..)| *start);

    let mut head = IntervalLogWriterBuilder::new();
    head.add_comment("[Histogram log format version 1.3]");
    head.add_comment("[Values are nanoseconds, Interval_Max is milliseconds]");
    if let Some(started) = started(result) {
        head.with_start_time(started).with_base_time(started);
    }
    let mut serializer = V2DeflateSerializer::new();
    head.begin_log_with(&mut out, &mut serializer)?;
    writeln!(out, "{LEGEND}")?;
    let mut log =
        IntervalLogWriterBuilder::new().with_max_value_divisor(NS_PER_MS).begin_log_with(&mut out, &mut serializer)?;
    for ((start, length), tag, samples) in intervals {
        let (histogram, beyond) = histogram(samples.iter().copied());
        if beyond > 0 {
            log.write_comment(&format!("[{tag}: {beyond} values beyond the range are left out]"))?;
        }
        log.write_histogram(&histogram, start, length, Tag::new(tag)).map_err(io::Error::other)?;
    }
    Ok(())
}

/// The start of a block's first measured operation, since the start of the run, and the time until the end of its last
/// one.
fn span(block: &RunBlock<'_>) -> (Duration, Duration) {
    let began = block.ok_rows().filter_map(|row| [row.due_ns, row.h0_ns, row.h2_ns].into_iter().flatten().min());
    let ended = block.ok_rows().filter_map(|row| row.h5_ns);
    let (start, end) = (began.min().unwrap_or(0), ended.max().unwrap_or(0));
    (Duration::from_nanos(start), Duration::from_nanos(end.saturating_sub(start)))
}

fn started(result: &RunResult) -> Option<SystemTime> {
    let text = result.environment.started.as_ref()?;
    SystemTime::try_from(text.parse::<jiff::Timestamp>().ok()?).ok()
}
