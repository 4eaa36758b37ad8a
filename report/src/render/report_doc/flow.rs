//! Streams, open loops, contention and storms.

use crate::result::findings::ContentionResult;
use crate::result::{Cell, RunResult};
use bench_model::{WaitMode, Workload};

use super::case;
use super::comparison;
use super::latency;
use super::table::{Part, Row, Table, columns};
use super::value::Value;

/// A row of a cell: its keys, and then these values.
fn row(cell: &Cell, values: impl IntoIterator<Item = Value>) -> Row {
    let mut all = case::keys(cell);
    all.extend(values);
    Row { mode: Some(cell.mode.clone()), values: all }
}

fn table(id: &str, caption: &str, named: &[(&'static str, &'static str)], rows: Vec<Row>) -> Option<Part> {
    let named: Vec<_> = [("case", ""), ("mode", "")].into_iter().chain(named.iter().copied()).collect();
    let columns = columns(&named);
    let table = Table { id: id.to_owned(), caption: caption.to_owned(), keys: 2, columns, rows, detail: false };
    table.without_unknown_columns().part()
}

pub(super) fn streams(result: &RunResult) -> Vec<Part> {
    let told = |cell: &Cell| {
        let traffic = cell.traffic.as_ref();
        let per_message = |count: Option<u64>| {
            let seen = traffic.map(|traffic| traffic.seen).filter(|&seen| seen > 0);
            Value::number(count.zip(seen).map(|(count, seen)| count as f64 / seen as f64))
        };
        row(
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
    let rows = case::of(result, Workload::Stream).map(told).collect();
    table("table-stream", caption, &named, rows).into_iter().collect()
}

pub(super) fn open_loops(result: &RunResult) -> Vec<Part> {
    let told = |cell: &Cell| {
        let (corrected, raw) = (cell.corrected_ns.as_ref(), cell.latency_ns.as_ref());
        row(
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
    let rows = case::of(result, Workload::Openloop).map(told).collect();
    let caption =
        "Latency by offered load: corrected (from the scheduled send time) and raw (from the actual send time)";
    let mut parts: Vec<Part> = table("table-openloop", caption, &named, rows).into_iter().collect();
    parts.extend(latency::tables(result, Workload::Openloop));
    parts
}

pub(super) fn contention(result: &RunResult) -> Vec<Part> {
    let rows: Vec<Row> = result.findings.contention.iter().map(|one| contended_row(result, one)).collect();
    let mut contended = Table {
        id: "table-contention".to_owned(),
        caption: "Latency with busy threads, poll and irq; with a gap: corrected latency".to_owned(),
        keys: 2,
        columns: columns(&[
            ("busy threads", ""),
            ("gap", "between messages"),
            ("poll mean", ""),
            ("irq mean", ""),
            ("lower mean", "only if the difference is significant"),
            ("poll p50", ""),
            ("irq p50", ""),
            (
                "lower p50",
                "only if the difference is significant; bimodal: the medians of equal blocks lie in different modes, compare \
                 the means",
            ),
            ("poll p90", ""),
            ("irq p90", ""),
        ]),
        rows,
        detail: false,
    };
    for verdict in [4, 7] {
        contended.columns[verdict].prose = true;
    }
    let mut parts: Vec<Part> = contended.without_unknown_columns().part().into_iter().collect();
    parts.extend(latency::tables(result, Workload::Contention).into_iter().map(|part| match part {
        Part::Table(table) => Part::Table(Table { detail: true, ..table }),
        other => other,
    }));
    parts
}

/// A poller under contention is often bimodal: it answers at once, or after its core was returned. So its mean comes first.
fn contended_row(result: &RunResult, one: &ContentionResult) -> Row {
    let place = if one.shared_core { "both on one core".to_owned() } else { one.busy_threads.to_string() };
    let p90 = |wait: WaitMode| {
        let is_it = |cell: &&Cell| {
            let conditions = &cell.conditions;
            (cell.host_wait, cell.guest_wait) == (wait, wait)
                && !conditions.aa_repeat
                && !conditions.full_stamps
                && (conditions.busy_threads.unwrap_or(0), conditions.shared_core, conditions.gap_ns)
                    == (one.busy_threads, one.shared_core, one.gap_ns)
        };
        let cell = case::of(result, Workload::Contention).find(is_it);
        Value::ns(cell.and_then(|cell| cell.latencies()?.ns.p90))
    };
    let values = vec![
        Value::word(place),
        one.gap_ns.map_or_else(|| Value::word("none"), Value::ns),
        Value::ns(one.poll_mean_ns),
        Value::ns(one.irq_mean_ns),
        Value::word(comparison::lower_mean(result, one)),
        Value::ns(one.poll_p50_ns),
        Value::ns(one.irq_p50_ns),
        Value::word(comparison::lower_p50(result, one)),
        p90(WaitMode::Poll),
        p90(WaitMode::Irq),
    ];
    Row { mode: None, values }
}

pub(super) fn storms(result: &RunResult) -> Vec<Part> {
    let told = |cell: &Cell| {
        let traffic = cell.traffic.as_ref();
        let per_interrupt = cell.counters.interrupts.filter(|&count| count > 0);
        let per_interrupt = per_interrupt.map(|count| cell.counters.rings as f64 / count as f64);
        let last =
            traffic.map_or_else(Value::unknown, |traffic| Value::word(if traffic.last_seen { "yes" } else { "no" }));
        row(
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
    let rows = case::of(result, Workload::Storm).map(told).collect();
    let caption = "Interrupts per doorbell, without waiting for acknowledgement";
    table("table-storm", caption, &named, rows).into_iter().collect()
}
