//! Sections "Streams" and "Open loop".

use crate::render::report_doc::{Column, SectionPart, Value, cell_table};
use crate::result::{Cell, RunResult};
use bench_model::Workload;

use super::latency;

const STREAM: [Column<Cell>; 9] = [
    ("messages", "received", |cell| Value::count(received(cell))),
    ("rate", "messages per second", |cell| Value::per_second(cell.messages_per_second)),
    ("bandwidth", "", |cell| Value::speed(cell.bytes_per_second)),
    ("rings", "doorbells rung by the host", |cell| Value::count(cell.counters.rings)),
    ("interrupts", "in the guest", |cell| Value::count(cell.counters.interrupts)),
    ("rings/message", "", |cell| {
        let received = received(cell).filter(|&received| received > 0);
        Value::number(received.map(|received| cell.counters.rings as f64 / received as f64))
    }),
    ("ring full", "times the host waited for a slot", |cell| {
        Value::count(cell.traffic.as_ref().map(|traffic| traffic.full))
    }),
    ("CPU/message", "of all threads", |cell| Value::cpu_us(cell.cpu.total_us_per_op())),
    ("cores", "CPU in use", |cell| Value::number(cell.cpu.cores)),
];

fn received(cell: &Cell) -> Option<u64> {
    cell.traffic.as_ref().map(|traffic| traffic.seen)
}

pub(super) fn streams(result: &RunResult) -> Vec<SectionPart> {
    let caption = "Throughput of messages through a ring of slots";
    let table = cell_table("table-stream", caption, &STREAM, result.cells_of(Workload::Stream));
    table.part().into_iter().collect()
}

const OPEN_LOOP: [Column<Cell>; 11] = [
    ("count", "messages acknowledged", |cell| Value::count(cell.n)),
    ("offered", "", |cell| Value::per_second(cell.conditions.rate_per_s.map(|rate| rate as f64))),
    ("throughput", "acknowledged per second", |cell| Value::per_second(cell.messages_per_second)),
    ("sent in time", "share of the scheduled messages that were sent before the last one was due", |cell| {
        Value::share(cell.sent_in_time)
    }),
    (
        "unsent",
        "scheduled but not sent before the block's time limit: corrected latencies are underestimated",
        |cell| Value::count(cell.unsent),
    ),
    ("corrected p50", "from the scheduled send time", |cell| {
        Value::ns(cell.corrected_ns.as_ref().and_then(|all| all.p50))
    }),
    ("corrected p99", "from the scheduled send time", |cell| {
        Value::ns(cell.corrected_ns.as_ref().and_then(|all| all.p99))
    }),
    ("raw p50", "from the actual send time: what a closed loop reports", |cell| {
        Value::ns(cell.latency_ns.as_ref().and_then(|all| all.p50))
    }),
    ("raw p99", "from the actual send time: what a closed loop reports", |cell| {
        Value::ns(cell.latency_ns.as_ref().and_then(|all| all.p99))
    }),
    ("CPU/message", "of all threads", |cell| Value::cpu_us(cell.cpu.total_us_per_op())),
    ("cores", "CPU in use", |cell| Value::number(cell.cpu.cores)),
];

pub(super) fn open_loops(result: &RunResult) -> Vec<SectionPart> {
    let caption =
        "Latency by offered load: corrected (from the scheduled send time) and raw (from the actual send time)";
    let table = cell_table("table-openloop", caption, &OPEN_LOOP, result.cells_of(Workload::Openloop));
    let mut parts: Vec<SectionPart> = table.part().into_iter().collect();
    parts.extend(latency::tables(result, Workload::Openloop));
    parts
}
