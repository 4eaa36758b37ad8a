//! Section "Bandwidth: verified frames": success, bandwidth, duration and phases.

use crate::io::run::Run;
use crate::result::{Cell, RunResult};
use bench_model::Workload;
use statistics::deviation;

use crate::render::report_doc::cell_label;
use crate::render::report_doc::table::{SectionPart, Table, TableRow, columns};
use crate::render::report_doc::value::Value;

pub(super) fn frames(result: &RunResult, run: &Run) -> Vec<SectionPart> {
    let cells: Vec<&Cell> = cell_label::cells_of(result, Workload::Frame).collect();
    let speeds = Table {
        id: "table-frames".to_owned(),
        caption: "Frames end to end: success, bandwidth and duration".to_owned(),
        keys: 2,
        columns: columns(&[
            ("frame", ""),
            ("mode", ""),
            ("ok", "frames with a verified hash"),
            ("failed", ""),
            ("success", ""),
            ("bandwidth", "size over the mean duration (harmonic mean)"),
            ("median", "size over the median duration"),
            ("p10", "90 % of the frames are at least as fast; needs 10 frames"),
            ("p5", "95 % of the frames are at least as fast; needs 20 frames"),
            ("± sd", "standard deviation over the frames"),
            ("slowest", "bandwidth of the slowest frame"),
            ("fastest", "bandwidth of the fastest frame"),
            ("duration", "mean"),
            ("shortest", ""),
            ("longest", ""),
        ]),
        rows: cells.iter().map(|cell| speed_row(cell, run)).collect(),
        detail: false,
    };
    let phases = Table {
        id: "table-phases".to_owned(),
        caption: "Phases of a frame: mean time, and bytes per second".to_owned(),
        keys: 2,
        columns: columns(&[
            ("frame", ""),
            ("mode", ""),
            ("write", "the host writes it"),
            ("notify", "until the guest sees it"),
            ("read", "the guest reads it"),
            ("verify", "the guest computes SHA-256"),
            ("answer", "until the host sees the acknowledgement"),
            ("write speed", ""),
            ("read speed", ""),
            ("verify speed", ""),
        ]),
        rows: cells.iter().map(|cell| phase_row(cell)).collect(),
        detail: false,
    };
    [speeds, phases].into_iter().filter_map(|table| table.without_unknown_columns().part()).collect()
}

fn speed_row(cell: &Cell, run: &Run) -> TableRow {
    let failed = cell.failed();
    let total = cell.n.saturating_add(failed);
    let latency = cell.latency_ns.as_ref();
    let rate = |ns: u64| (ns > 0).then(|| cell.size_bytes as f64 * 1e9 / ns as f64);
    let mut values = cell_label::keys(cell);
    values.extend([
        Value::count(cell.n),
        Value::count(failed),
        Value::share((total > 0).then(|| cell.n as f64 / total as f64)),
        Value::speed(cell.bytes_per_second),
        Value::speed(latency.and_then(|latency| rate(latency.p50?))),
        Value::speed(latency.and_then(|latency| rate(latency.p90?))),
        Value::speed(latency.and_then(|latency| rate(latency.p95?))),
        Value::speed(deviation(rates(cell, run).into_iter())),
        Value::speed(latency.and_then(|latency| rate(latency.max))),
        Value::speed(latency.and_then(|latency| rate(latency.min))),
        Value::mean_ns(latency.map(|latency| latency.mean)),
        Value::ns(latency.map(|latency| latency.min)),
        Value::ns(latency.map(|latency| latency.max)),
    ]);
    TableRow { mode: Some(cell.mode.clone()), values }
}

/// Bytes per second of each successful frame.
fn rates(cell: &Cell, run: &Run) -> Vec<f64> {
    let rows = run.blocks_of(cell.key()).flat_map(|block| block.ok_rows());
    let times = rows.filter_map(|row| row.end_to_end_ns).filter(|&ns| ns > 0);
    times.map(|ns| cell.size_bytes as f64 * 1e9 / ns as f64).collect()
}

fn phase_row(cell: &Cell) -> TableRow {
    let legs = &cell.legs_ns;
    let mean = [&legs.write, &legs.notify, &legs.read, &legs.verify, &legs.answer]
        .map(|leg| Value::mean_ns(leg.as_ref().map(|leg| leg.mean)));
    let rates = cell.phase_bytes_per_second.clone().unwrap_or_default();
    let mut values = cell_label::keys(cell);
    values.extend(mean);
    values.extend([rates.write, rates.read, rates.verify].map(Value::speed));
    TableRow { mode: Some(cell.mode.clone()), values }
}
