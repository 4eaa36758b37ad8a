//! Section "Legs of a round trip", with the longest leg of each cell.

use crate::result::{Cell, Legs, RunResult};
use bench_model::Workload;
use bench_model::units::{duration, sig3};
use statistics::LegSummary;

use crate::render::report_doc::cell_label;
use crate::render::report_doc::table::{SectionPart, Table, TableRow, columns};
use crate::render::report_doc::value::Value;

/// The legs in order, with explanations.
const LEGS: [(&str, &str); 10] = [
    ("write", "the host writes the payload"),
    ("ring", "publishing and ringing, cost for the sender"),
    ("inject", "interrupt injection: until IRQ entry in the guest"),
    ("wake", "wake-up: from IRQ entry until the guest's program runs"),
    ("notify", "until the guest's program sees the message: inject + wake"),
    ("ack", "until the host sees RECEIVED"),
    ("read", "the guest reads the payload"),
    ("verify", "the guest computes SHA-256"),
    ("handle", "other work of the guest before the acknowledgement"),
    ("answer", "from the guest's last acknowledgement until the host sees it"),
];

/// Workloads whose operations have meaningful legs.
const WORKLOADS: [Workload; 4] = [Workload::Pingpong, Workload::Paced, Workload::Openloop, Workload::Frame];

pub(super) fn legs(result: &RunResult) -> Vec<SectionPart> {
    let cells = || WORKLOADS.into_iter().flat_map(|workload| cell_label::cells_of(result, workload));
    let bottlenecks: Vec<String> = cells().filter_map(bottleneck).collect();
    let mut parts = Vec::new();
    if !bottlenecks.is_empty() {
        parts.push(SectionPart::Text("Longest leg by the medians:".to_owned()));
        parts.push(SectionPart::List(bottlenecks));
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
        parts.push(SectionPart::Text(
            "One-way legs (inject, notify, ack, answer) come only from blocks with a stable clock offset. They may be \
             negative by the uncertainty of the offset."
                .to_owned(),
        ));
    }
    parts
}

fn all_legs(legs: &Legs) -> [&Option<LegSummary>; 10] {
    let Legs { write, ring, inject, wake, notify, ack, read, verify, handle, answer } = legs;
    [write, ring, inject, wake, notify, ack, read, verify, handle, answer]
}

fn medians(cell: &Cell) -> Option<TableRow> {
    let legs = all_legs(&cell.legs_ns);
    legs.iter().any(|leg| leg.is_some()).then(|| {
        let mut values = vec![Value::word(cell.workload.name())];
        values.extend(cell_label::keys(cell));
        values.extend(legs.map(|leg| Value::signed_ns(leg.as_ref().map(|leg| leg.p50))));
        TableRow { mode: Some(cell.mode.clone()), values }
    })
}

fn each_leg(cell: &Cell) -> Vec<TableRow> {
    let total = cell.latency_ns.as_ref().map(|latency| latency.mean);
    let row = |((name, _), leg): ((&str, &str), &Option<LegSummary>)| {
        let leg = leg.as_ref()?;
        let mut values = vec![Value::word(cell.workload.name())];
        values.extend(cell_label::keys(cell));
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
            Value::share(total.map(|total| leg.mean / total)),
        ]);
        Some(TableRow { mode: Some(cell.mode.clone()), values })
    };
    LEGS.into_iter().zip(all_legs(&cell.legs_ns)).filter_map(row).collect()
}

/// The longest of the legs that do not overlap. `None` if the leg to the guest was not stamped.
fn bottleneck(cell: &Cell) -> Option<String> {
    let legs = &cell.legs_ns;
    let total = cell.latency_ns.as_ref()?.p50? as f64;
    let notified = legs.notify.as_ref()?.n;
    let disjoint = [&legs.write, &legs.notify, &legs.read, &legs.verify, &legs.handle, &legs.answer];
    let names = ["write", "notify", "read", "verify", "handle", "answer"];
    let median = |leg: &Option<LegSummary>| Some(leg.as_ref()?.p50 as f64);
    let medians = names.into_iter().zip(disjoint).filter_map(|(name, leg)| Some((name, median(leg)?)));
    let (mut name, longest) = medians.max_by(|a, b| a.1.total_cmp(&b.1))?;
    let mut parts = String::new();
    // In hybrid mode, few operations take an interrupt: these are not typical of the others.
    let is_typical = legs.inject.as_ref().is_some_and(|inject| inject.n * 10 >= notified * 9);
    if let (true, Some(inject), Some(wake)) = (name == "notify" && is_typical, median(&legs.inject), median(&legs.wake))
    {
        name = if inject >= wake { "notify, mostly inject" } else { "notify, mostly wake" };
        parts = format!(" (inject {}, wake {})", duration(inject), duration(wake));
    }
    let share = sig3(longest / total * 100.0);
    Some(format!(
        "{} {}, {}: {name}: {}{parts} of {}, {share} %",
        cell.workload,
        cell_label::label(cell),
        cell.mode,
        duration(longest),
        duration(total),
    ))
}
