//! Messages that do not wait for each other, or not alone: streams, open loops, contention, storms.

use crate::plan::{Wait, Workload};
use crate::result::{Cell, RunResult};
use crate::stats::Word;

use super::case;
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
        ("messages", "that went through"),
        ("rate", "messages per second"),
        ("bandwidth", ""),
        ("rings", "doorbells that the host rang"),
        ("interrupts", "that the guest took"),
        ("rings/message", ""),
        ("ring full", "times the host had to wait for a slot"),
        ("CPU/message", "of all threads"),
        ("cores", "kept busy"),
    ];
    let caption = "Messages through a ring of slots, as many as go through";
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
        ("count", "messages answered"),
        ("offered", ""),
        ("carried", "answered per second"),
        ("sent in time", "of all that were due, those that had been sent when the last one was due"),
        ("unsent", "due, but not sent when the block's time was up: latencies are of the others, and lie too low"),
        ("p50 from due", "from when the message was due"),
        ("p99 from due", "from when the message was due"),
        ("p50 from sent", "from when it was sent: what a closed loop would report"),
        ("p99 from sent", "from when it was sent: what a closed loop would report"),
        ("CPU/message", "of all threads"),
        ("cores", "kept busy"),
    ];
    let rows = case::of(result, Workload::Openloop).map(told).collect();
    let caption = "Latency at an offered rate, from when each message was due and from when it was sent";
    let mut parts: Vec<Part> = table("table-openloop", caption, &named, rows).into_iter().collect();
    parts.extend(latency::tables(result, Workload::Openloop));
    parts
}

pub(super) fn contention(result: &RunResult) -> Vec<Part> {
    let rows: Vec<Row> = result
        .findings
        .contention
        .iter()
        .map(|one| {
            let place = if one.one_core { "both on one core".to_owned() } else { one.busy_threads.to_string() };
            let named = |winner: Option<Wait>, word: Word| {
                Value::word(winner.map_or_else(|| word.to_string(), |wait| wait.to_string()))
            };
            let mut values = vec![Value::word(place), one.gap_ns.map_or_else(|| Value::word("none"), Value::ns)];
            values.extend([one.poll_p50_ns, one.irq_p50_ns].map(Value::ns));
            values.push(named(one.faster(), one.word));
            values.extend([one.poll_mean_ns, one.irq_mean_ns].map(Value::ns));
            values.push(named(one.waits_less(), one.mean_word));
            Row { mode: None, values }
        })
        .collect();
    let beside = Table {
        id: "table-contention".to_owned(),
        caption: "Medians and means beside busy threads; where messages have a gap, from when they were due".to_owned(),
        keys: 2,
        columns: columns(&[
            ("busy threads", ""),
            ("gap", ""),
            ("poll p50", ""),
            ("irq p50", ""),
            ("faster", "by the medians; named only where interval and noise prove it"),
            (
                "poll mean",
                "of a poller that answers at once or after others had its core, the median tells only which is more",
            ),
            ("irq mean", ""),
            ("waits less", "by the means; named only where interval and noise prove it"),
        ]),
        rows,
        detail: false,
    };
    let mut parts: Vec<Part> = beside.part().into_iter().collect();
    parts.extend(latency::tables(result, Workload::Contention).into_iter().map(|part| match part {
        Part::Table(table) => Part::Table(Table { detail: true, ..table }),
        other => other,
    }));
    parts
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
        ("rings", "doorbells that the host rang"),
        ("rate", "doorbells per second as they were rung"),
        ("interrupts", "that the guest took"),
        ("rings/interrupt", "how many became one"),
        ("events", "reads of the driver's descriptor that returned"),
        ("seen", "messages that were the newest when the guest looked"),
        ("last seen", "whether the last message was seen"),
        ("last answered", "the longest time until the last message of a storm was answered"),
    ];
    let rows = case::of(result, Workload::Storm).map(told).collect();
    let caption = "Doorbells, and what became of them";
    table("table-storm", caption, &named, rows).into_iter().collect()
}
