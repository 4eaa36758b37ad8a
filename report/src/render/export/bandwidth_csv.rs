//! `bandwidth_results.csv`: one line per frame, including failed ones with their status.

use std::collections::HashMap;
use std::io::{self, Write};

use serde::Serialize;

use super::csv_writer;
use crate::io::run::Run;
use crate::result::RunResult;
use bench_model::Workload;
use bench_model::samples::{Status, mode_name};
use bench_model::units::size_name;

#[derive(Serialize, Default)]
struct FrameLine<'a> {
    frame: &'a str,
    /// Counts from 0 within size, mode and cache state, including failed frames.
    iteration: u64,
    size_bytes: u64,
    mode: &'a str,
    write_ns: Option<u64>,
    /// Empty if the clock offset was not stable.
    notify_ns: Option<i64>,
    read_ns: Option<u64>,
    verify_ns: Option<u64>,
    /// End to end.
    total_ns: Option<u64>,
    /// Size over the end-to-end time, in 10⁹ bytes per second; empty for a failed frame.
    gb_per_s: Option<f64>,
    status: Option<Status>,
    /// Whether frame and slot were flushed from all caches before the operation. Such frames are separate cells.
    cold: bool,
}

pub(super) fn write(_result: &RunResult, run: &Run, out: &mut dyn Write) -> io::Result<()> {
    let mut writer = csv_writer::<FrameLine<'_>, _>(out)?;
    let mut iterations: HashMap<(u64, String, bool), u64> = HashMap::new();
    for block in run.blocks().filter(|block| block.plan().workload == Workload::Frame) {
        let asked = block.plan();
        let (frame, mode) = (size_name(asked.size_bytes), mode_name(asked.host_wait, asked.guest_wait));
        let one_way = block.measured.clock.is_stable();
        let cold = asked.conditions.cold;
        let iteration = iterations.entry((asked.size_bytes, mode.clone(), cold)).or_default();
        for row in block.rows {
            // Bytes per nanosecond are 10⁹ bytes per second.
            let speed = row.end_to_end_ns.filter(|&ns| ns > 0).map(|ns| asked.size_bytes as f64 / ns as f64);
            writer.serialize(FrameLine {
                frame: &frame,
                iteration: *iteration,
                size_bytes: asked.size_bytes,
                mode: &mode,
                write_ns: row.write_ns,
                notify_ns: row.notify_ns.filter(|_| one_way),
                read_ns: row.read_ns,
                verify_ns: row.verify_ns,
                total_ns: row.end_to_end_ns,
                // Rounded to 1 kB/s: more digits would suggest a precision that the measurement does not have.
                gb_per_s: speed.filter(|_| row.status == Status::Ok).map(|speed| (speed * 1e6).round() / 1e6),
                status: Some(row.status),
                cold,
            })?;
            *iteration += 1;
        }
    }
    writer.flush()
}
