//! `latency_results.csv`: one line per round trip that ended ok, for each mode in order of measurement.

use std::collections::HashMap;
use std::io::{self, Write};

use serde::Serialize;

use super::csv_writer;
use crate::io::run::Run;
use crate::result::RunResult;
use bench_model::samples::mode_name;
use bench_model::{Block, Conditions, Workload};

#[derive(Serialize, Default)]
struct RoundTripLine<'a> {
    /// Counts from 0 within its mode.
    iteration: u64,
    latency_ns: u64,
    latency_us: f64,
    mode: &'a str,
}

pub(super) fn write(_result: &RunResult, run: &Run, out: &mut dyn Write) -> io::Result<()> {
    let mut writer = csv_writer::<RoundTripLine<'_>, _>(out)?;
    let mut iterations: HashMap<String, u64> = HashMap::new();
    for block in run.blocks().filter(|block| is_plain_round_trip(block.plan())) {
        let mode = mode_name(block.plan().host_wait, block.plan().guest_wait);
        let iteration = iterations.entry(mode.clone()).or_default();
        for latency_ns in block.ok_rows().filter_map(|row| row.rtt_ns) {
            writer.serialize(RoundTripLine {
                iteration: *iteration,
                latency_ns,
                latency_us: latency_ns as f64 / 1e3,
                mode: &mode,
            })?;
            *iteration += 1;
        }
    }
    writer.flush()
}

/// Whether the block has round trips without special conditions. Only these are exported.
fn is_plain_round_trip(block: &Block) -> bool {
    block.workload == Workload::Pingpong && block.conditions == Conditions::default()
}
