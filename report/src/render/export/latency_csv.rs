//! `latency_results.csv`: a line per round trip that ended ok, in the order in which each mode measured them.

use std::collections::HashMap;
use std::io::{self, Write};

use serde::Serialize;

use crate::io::run::Run;
use crate::render::export::Export;
use crate::result::RunResult;
use bench_model::samples::mode_name;
use bench_model::{Block, Conditions, Workload};

/// Writes the round trips.
#[derive(Debug, Clone, Copy)]
pub struct LatencyCsv;

#[derive(Serialize)]
struct Line<'a> {
    /// From 0 within its mode.
    iteration: u64,
    latency_ns: u64,
    latency_us: f64,
    mode: &'a str,
}

impl Export for LatencyCsv {
    fn file_name(&self) -> &'static str {
        "latency_results.csv"
    }

    fn write(&self, _result: &RunResult, run: &Run, out: &mut dyn Write) -> io::Result<()> {
        let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(out);
        // By hand, so that a run without round trips still leaves a table.
        writer.write_record(["iteration", "latency_ns", "latency_us", "mode"])?;
        let mut iterations: HashMap<String, u64> = HashMap::new();
        for block in run.blocks().filter(|block| is_plain_round_trip(block.plan())) {
            let mode = mode_name(block.plan().host_wait, block.plan().guest_wait);
            let iteration = iterations.entry(mode.clone()).or_default();
            for latency_ns in block.ok_rows().filter_map(|row| row.rtt_ns) {
                writer.serialize(Line {
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
}

/// Round trips under special conditions are another question's.
fn is_plain_round_trip(block: &Block) -> bool {
    block.workload == Workload::Pingpong && block.conditions == Conditions::default()
}
