//! Section "Storm": coalescing of doorbells.

use crate::render::report_doc::{Column, SectionPart, Value, cell_table};
use crate::result::{Cell, RunResult};
use bench_model::Workload;

const COLUMNS: [Column<Cell>; 8] = [
    ("rings", "doorbells rung by the host", |cell| Value::count(cell.counters.rings)),
    ("rate", "doorbells rung per second", |cell| Value::per_second(cell.messages_per_second)),
    ("interrupts", "in the guest", |cell| Value::count(cell.counters.interrupts)),
    ("rings/interrupt", "coalescing factor", |cell| {
        let interrupts = cell.counters.interrupts.filter(|&count| count > 0);
        Value::number(interrupts.map(|count| cell.counters.rings as f64 / count as f64))
    }),
    ("events", "reads of the driver's descriptor that returned", |cell| Value::count(cell.counters.uio_events)),
    ("seen", "messages that the guest read as the newest one", |cell| {
        Value::count(cell.traffic.as_ref().map(|traffic| traffic.seen))
    }),
    ("last seen", "whether the guest saw the last message", |cell| {
        let traffic = cell.traffic.as_ref();
        traffic.map_or_else(Value::unknown, |traffic| Value::word(if traffic.last_seen { "yes" } else { "no" }))
    }),
    ("last round trip", "longest round trip of the last message of a storm", |cell| {
        Value::ns(cell.latency_ns.as_ref().map(|latency| latency.max))
    }),
];

pub(super) fn storms(result: &RunResult) -> Vec<SectionPart> {
    let caption = "Interrupts per doorbell, without waiting for acknowledgement";
    let table = cell_table("table-storm", caption, &COLUMNS, result.cells_of(Workload::Storm));
    table.part().into_iter().collect()
}
