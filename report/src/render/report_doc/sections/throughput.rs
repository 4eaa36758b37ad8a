//! Sections "Streams" and "Open loop".

use crate::render::report_doc::cell_label;
use crate::render::report_doc::table::SectionPart;
use crate::render::report_doc::value::Value;
use crate::result::{Cell, RunResult};
use bench_model::Workload;

use super::latency;
use super::{cell_row, cell_table};

pub(super) fn streams(result: &RunResult) -> Vec<SectionPart> {
    let row = |cell: &Cell| {
        let traffic = cell.traffic.as_ref();
        let per_message = |count: Option<u64>| {
            let seen = traffic.map(|traffic| traffic.seen).filter(|&seen| seen > 0);
            Value::number(count.zip(seen).map(|(count, seen)| count as f64 / seen as f64))
        };
        cell_row(
            cell,
            [
                Value::count(traffic.map(|traffic| traffic.seen)),
                Value::per_second(cell.messages_per_second),
                Value::speed(cell.bytes_per_second),
                Value::count(cell.counters.rings),
                Value::count(cell.counters.interrupts),
                per_message(Some(cell.counters.rings)),
                Value::count(traffic.map(|traffic| traffic.full)),
                Value::cpu_us(cell.cpu.total_us_per_op()),
                Value::number(cell.cpu.cores),
            ],
        )
    };
    let named = [
        ("messages", "received"),
        ("rate", "messages per second"),
        ("bandwidth", ""),
        ("rings", "doorbells rung by the host"),
        ("interrupts", "in the guest"),
        ("rings/message", ""),
        ("ring full", "times the host waited for a slot"),
        ("CPU/message", "of all threads"),
        ("cores", "CPU in use"),
    ];
    let caption = "Throughput of messages through a ring of slots";
    let rows = cell_label::cells_of(result, Workload::Stream).map(row).collect();
    cell_table("table-stream", caption, &named, rows).into_iter().collect()
}

pub(super) fn open_loops(result: &RunResult) -> Vec<SectionPart> {
    let row = |cell: &Cell| {
        let (corrected, raw) = (cell.corrected_ns.as_ref(), cell.latency_ns.as_ref());
        cell_row(
            cell,
            [
                Value::count(cell.n),
                Value::per_second(cell.conditions.rate_per_s.map(|rate| rate as f64)),
                Value::per_second(cell.messages_per_second),
                Value::share(cell.sent_in_time),
                Value::count(cell.unsent),
                Value::ns(corrected.and_then(|all| all.p50)),
                Value::ns(corrected.and_then(|all| all.p99)),
                Value::ns(raw.and_then(|all| all.p50)),
                Value::ns(raw.and_then(|all| all.p99)),
                Value::cpu_us(cell.cpu.total_us_per_op()),
                Value::number(cell.cpu.cores),
            ],
        )
    };
    let named = [
        ("count", "messages acknowledged"),
        ("offered", ""),
        ("throughput", "acknowledged per second"),
        ("sent in time", "share of the scheduled messages that were sent before the last one was due"),
        ("unsent", "scheduled but not sent before the block's time limit: corrected latencies are underestimated"),
        ("corrected p50", "from the scheduled send time"),
        ("corrected p99", "from the scheduled send time"),
        ("raw p50", "from the actual send time: what a closed loop reports"),
        ("raw p99", "from the actual send time: what a closed loop reports"),
        ("CPU/message", "of all threads"),
        ("cores", "CPU in use"),
    ];
    let rows = cell_label::cells_of(result, Workload::Openloop).map(row).collect();
    let caption =
        "Latency by offered load: corrected (from the scheduled send time) and raw (from the actual send time)";
    let mut parts: Vec<SectionPart> = cell_table("table-openloop", caption, &named, rows).into_iter().collect();
    parts.extend(latency::tables(result, Workload::Openloop));
    parts
}
