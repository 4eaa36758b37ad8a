//! Legs of an operation, and the one that takes the most time.

use crate::result::{Cell, Legs, RunResult};
use crate::stats::LegSummary;
use bench_model::Workload;
use bench_model::units::{duration, sig3};

use super::case;
use super::table::{Part, Row, Table, columns};
use super::value::Value;

/// The legs in the order in which they happen, and what each is.
const LEGS: [(&str, &str); 10] = [
    ("write", "the host writes the payload"),
    ("ring", "publishing and ringing, cost for the sender"),
    ("inject", "interrupt injection: until IRQ entry in the guest"),
    ("wake", "wake-up: from IRQ entry until the guest's program runs"),
    ("notify", "until the guest's program sees the message: inject + wake"),
    ("ack", "until the host sees RECEIVED"),
    ("read", "the guest reads the payload"),
    ("verify", "the guest computes SHA-256"),
    ("handle", "other work of the guest before the answer"),
    ("answer", "from the guest's last acknowledgement until the host sees it"),
];

/// Workloads in which operations have legs that say something.
const TOLD: [Workload; 4] = [Workload::Pingpong, Workload::Paced, Workload::Openloop, Workload::Frame];

pub(super) fn parts(result: &RunResult) -> Vec<Part> {
    let cells = || TOLD.into_iter().flat_map(|workload| case::of(result, workload));
    let bottlenecks: Vec<String> = cells().filter_map(bottleneck).collect();
    let mut parts = Vec::new();
    if !bottlenecks.is_empty() {
        parts.push(Part::Text("Longest leg of an ordinary operation, by the medians:".to_owned()));
        parts.push(Part::List(bottlenecks));
    }
    let medians = Table {
        id: "table-legs".to_owned(),
        caption: "Medians of the legs".to_owned(),
        keys: 3,
        columns: columns(&[("workload", ""), ("case", ""), ("mode", "")]).into_iter().chain(columns(&LEGS)).collect(),
        rows: cells().filter_map(medians).collect(),
        detail: false,
    };
    let each = Table {
        id: "table-legs-each".to_owned(),
        caption: "Each leg: count, range, percentiles, mean, deviation, share of the mean latency".to_owned(),
        keys: 4,
        columns: columns(&[
            ("workload", ""),
            ("case", ""),
            ("mode", ""),
            ("leg", ""),
            ("count", "operations that have this leg"),
            ("min", ""),
            ("median", ""),
            ("p90", ""),
            ("p95", ""),
            ("p99", ""),
            ("p99.9", ""),
            ("mean", ""),
            ("stddev", "standard deviation of the sample"),
            ("max", ""),
            ("share", "of the mean latency"),
        ]),
        rows: cells().flat_map(each_leg).collect(),
        detail: true,
    };
    parts.extend(medians.without_unknown_columns().part());
    parts.extend(each.without_unknown_columns().part());
    if !parts.is_empty() {
        parts.push(Part::Text(
            "One-way legs (inject, notify, ack, answer) come only from blocks with a stable clock offset. They may be \
             negative by the uncertainty of the offset."
                .to_owned(),
        ));
    }
    parts
}

fn all(legs: &Legs) -> [&Option<LegSummary>; 10] {
    let Legs { write, ring, inject, wake, notify, ack, read, verify, handle, answer } = legs;
    [write, ring, inject, wake, notify, ack, read, verify, handle, answer]
}

fn medians(cell: &Cell) -> Option<Row> {
    let legs = all(&cell.legs_ns);
    legs.iter().any(|leg| leg.is_some()).then(|| {
        let mut values = vec![Value::word(cell.workload.name())];
        values.extend(case::keys(cell));
        values.extend(legs.map(|leg| Value::signed_ns(leg.as_ref().map(|leg| leg.p50))));
        Row { mode: Some(cell.mode.clone()), values }
    })
}

fn each_leg(cell: &Cell) -> Vec<Row> {
    let whole = cell.latency_ns.as_ref().map(|latency| latency.mean);
    let row = |((name, _), leg): ((&str, &str), &Option<LegSummary>)| {
        let leg = leg.as_ref()?;
        let mut values = vec![Value::word(cell.workload.name())];
        values.extend(case::keys(cell));
        values.extend([
            Value::word(name),
            Value::count(leg.n as u64),
            Value::signed_ns(leg.min),
            Value::signed_ns(leg.p50),
            Value::signed_ns(leg.p90),
            Value::signed_ns(leg.p95),
            Value::signed_ns(leg.p99),
            Value::signed_ns(leg.p999),
            Value::mean_ns(leg.mean),
            Value::mean_ns(leg.stddev),
            Value::signed_ns(leg.max),
            Value::share(whole.map(|whole| leg.mean / whole)),
        ]);
        Some(Row { mode: Some(cell.mode.clone()), values })
    };
    LEGS.into_iter().zip(all(&cell.legs_ns)).filter_map(row).collect()
}

/// The leg of those that do not overlap that takes the most. Only where the way there is known: of what was not stamped
/// nothing can be said.
fn bottleneck(cell: &Cell) -> Option<String> {
    let legs = &cell.legs_ns;
    let whole = cell.latency_ns.as_ref()?.p50? as f64;
    let known = legs.notify.as_ref()?.n;
    let disjoint = [&legs.write, &legs.notify, &legs.read, &legs.verify, &legs.handle, &legs.answer];
    let names = ["write", "notify", "read", "verify", "handle", "answer"];
    let median = |leg: &Option<LegSummary>| Some(leg.as_ref()?.p50 as f64);
    let all = names.into_iter().zip(disjoint).filter_map(|(name, leg)| Some((name, median(leg)?)));
    let (mut name, longest) = all.max_by(|a, b| a.1.total_cmp(&b.1))?;
    let mut parts = String::new();
    // Of a side that spins first only few take an interrupt: those say nothing of the others.
    let is_told = legs.inject.as_ref().is_some_and(|inject| inject.n * 10 >= known * 9);
    if let (true, Some(inject), Some(wake)) = (name == "notify" && is_told, median(&legs.inject), median(&legs.wake)) {
        name = if inject >= wake { "notify, mostly inject" } else { "notify, mostly wake" };
        parts = format!(" (inject {}, wake {})", duration(inject), duration(wake));
    }
    let share = sig3(longest / whole * 100.0);
    Some(format!(
        "{} {}, {}: {name}: {}{parts} of {}, {share} %",
        cell.workload,
        case::name(cell),
        cell.mode,
        duration(longest),
        duration(whole),
    ))
}
