//! Section "Bandwidth: verified frames": success, bandwidth, duration and phases.

use crate::io::run::Run;
use crate::result::{Cell, RunResult};
use bench_model::Workload;
use statistics::{LegSummary, Summary, deviation};

use crate::render::report_doc::{Column, KEYS, SectionPart, Table, Value};

/// A cell, and the standard deviation of the bandwidth over its frames.
type Frames<'a> = (&'a Cell, Option<f64>);

const PHASES: [Column<Cell>; 10] = [
    ("frame", "", KEYS[1].2),
    ("mode", "", KEYS[2].2),
    ("write", "the host writes it", |cell| mean(cell.legs_ns.write.as_ref())),
    ("notify", "until the guest sees it", |cell| mean(cell.legs_ns.notify.as_ref())),
    ("read", "the guest reads it", |cell| mean(cell.legs_ns.read.as_ref())),
    ("verify", "the guest computes SHA-256", |cell| mean(cell.legs_ns.verify.as_ref())),
    ("answer", "until the host sees the acknowledgement", |cell| mean(cell.legs_ns.answer.as_ref())),
    ("write speed", "", |cell| Value::speed(cell.phase_bytes_per_second.as_ref().and_then(|rates| rates.write))),
    ("read speed", "", |cell| Value::speed(cell.phase_bytes_per_second.as_ref().and_then(|rates| rates.read))),
    ("verify speed", "", |cell| Value::speed(cell.phase_bytes_per_second.as_ref().and_then(|rates| rates.verify))),
];

/// Bytes per second at a duration.
fn rate(cell: &Cell, of: fn(&Summary) -> Option<u64>) -> Value {
    let ns = cell.latency_ns.as_ref().and_then(of).filter(|&ns| ns > 0);
    Value::speed(ns.map(|ns| cell.size_bytes as f64 * 1e9 / ns as f64))
}

fn mean(leg: Option<&LegSummary>) -> Value {
    Value::mean_ns(leg.map(|leg| leg.mean))
}

pub(super) fn frames(result: &RunResult, run: &Run) -> Vec<SectionPart> {
    let speed_columns: [Column<Frames<'_>>; 15] = [
        ("frame", "", |(cell, _)| KEYS[1].2(cell)),
        ("mode", "", |(cell, _)| KEYS[2].2(cell)),
        ("ok", "frames with a verified hash", |(cell, _)| Value::count(cell.n)),
        ("failed", "", |(cell, _)| Value::count(cell.failed())),
        ("success", "", |(cell, _)| {
            let total = cell.n.saturating_add(cell.failed());
            Value::share((total > 0).then(|| cell.n as f64 / total as f64))
        }),
        ("bandwidth", "size over the mean duration (harmonic mean)", |(cell, _)| Value::speed(cell.bytes_per_second)),
        ("median", "size over the median duration", |(cell, _)| rate(cell, |all| all.p50)),
        ("p10", "90 % of the frames are at least as fast; needs 10 frames", |(cell, _)| rate(cell, |all| all.p90)),
        ("p5", "95 % of the frames are at least as fast; needs 20 frames", |(cell, _)| rate(cell, |all| all.p95)),
        ("± sd", "standard deviation over the frames", |(_, deviation)| Value::speed(*deviation)),
        ("slowest", "bandwidth of the slowest frame", |(cell, _)| rate(cell, |all| Some(all.max))),
        ("fastest", "bandwidth of the fastest frame", |(cell, _)| rate(cell, |all| Some(all.min))),
        ("duration", "mean", |(cell, _)| Value::mean_ns(cell.latency_ns.as_ref().map(|all| all.mean))),
        ("shortest", "", |(cell, _)| Value::ns(cell.latency_ns.as_ref().map(|all| all.min))),
        ("longest", "", |(cell, _)| Value::ns(cell.latency_ns.as_ref().map(|all| all.max))),
    ];
    let cells: Vec<Frames<'_>> =
        result.cells_of(Workload::Frame).map(|cell| (cell, deviation(rates(cell, run).into_iter()))).collect();
    let speeds =
        Table::new("table-frames", "Frames end to end: success, bandwidth and duration", 2, &speed_columns, &cells);
    let phases = Table::new(
        "table-phases",
        "Phases of a frame: mean time, and bytes per second",
        2,
        &PHASES,
        result.cells_of(Workload::Frame),
    );
    [speeds, phases].into_iter().filter_map(|table| table.without_unknown_columns().part()).collect()
}

/// Bytes per second of each successful frame.
fn rates(cell: &Cell, run: &Run) -> Vec<f64> {
    let rows = run.blocks_of(cell.key()).flat_map(|block| block.ok_rows());
    let times = rows.filter_map(|row| row.end_to_end_ns).filter(|&ns| ns > 0);
    times.map(|ns| cell.size_bytes as f64 * 1e9 / ns as f64).collect()
}
