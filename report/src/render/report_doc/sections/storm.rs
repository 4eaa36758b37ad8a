//! Section "Storm": coalescing of doorbells.

use crate::render::report_doc::cell_label;
use crate::render::report_doc::table::SectionPart;
use crate::render::report_doc::value::Value;
use crate::result::{Cell, RunResult};
use bench_model::Workload;

use super::{cell_row, cell_table};

pub(super) fn storms(result: &RunResult) -> Vec<SectionPart> {
    let row = |cell: &Cell| {
        let traffic = cell.traffic.as_ref();
        let per_interrupt = cell.counters.interrupts.filter(|&count| count > 0);
        let per_interrupt = per_interrupt.map(|count| cell.counters.rings as f64 / count as f64);
        let last =
            traffic.map_or_else(Value::unknown, |traffic| Value::word(if traffic.last_seen { "yes" } else { "no" }));
        cell_row(
            cell,
            [
                Value::count(cell.counters.rings),
                Value::per_second(cell.messages_per_second),
                Value::count(cell.counters.interrupts),
                Value::number(per_interrupt),
                Value::count(cell.counters.uio_events),
                Value::count(traffic.map(|traffic| traffic.seen)),
                last,
                Value::ns(cell.latency_ns.as_ref().map(|latency| latency.max)),
            ],
        )
    };
    let named = [
        ("rings", "doorbells rung by the host"),
        ("rate", "doorbells rung per second"),
        ("interrupts", "in the guest"),
        ("rings/interrupt", "coalescing factor"),
        ("events", "reads of the driver's descriptor that returned"),
        ("seen", "messages that the guest read as the newest one"),
        ("last seen", "whether the guest saw the last message"),
        ("last round trip", "longest round trip of the last message of a storm"),
    ];
    let rows = cell_label::cells_of(result, Workload::Storm).map(row).collect();
    let caption = "Interrupts per doorbell, without waiting for acknowledgement";
    cell_table("table-storm", caption, &named, rows).into_iter().collect()
}
