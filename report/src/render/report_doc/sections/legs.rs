//! Section "Legs of a round trip", with the longest leg of each cell.

use crate::result::RunResult;
use crate::result::cell::{Cell, LEGS, Leg};
use bench_model::Workload;
use bench_model::units::{duration, sig3};
use statistics::LegSummary;

use crate::render::report_doc::{Column, KEYS, SectionPart, Table, TableColumn, Value, label};

/// A leg of a cell.
struct CellLeg<'a> {
    cell: &'a Cell,
    name: &'static str,
    leg: &'a LegSummary,
}

/// Workloads whose operations have meaningful legs.
const WORKLOADS: [Workload; 4] = [Workload::Pingpong, Workload::Paced, Workload::Openloop, Workload::Frame];

pub(super) fn legs(result: &RunResult) -> Vec<SectionPart> {
    let leg_columns: [Column<CellLeg<'_>>; 15] = [
        ("workload", "", |of| KEYS[0].2(of.cell)),
        ("case", "", |of| KEYS[1].2(of.cell)),
        ("mode", "", |of| KEYS[2].2(of.cell)),
        ("leg", "", |of| Value::word(of.name)),
        ("count", "operations that have this leg", |of| Value::count(of.leg.n as u64)),
        ("min", "", |of| Value::signed_ns(of.leg.min)),
        ("median", "", |of| Value::signed_ns(of.leg.p50)),
        ("p90", "", |of| Value::signed_ns(of.leg.p90)),
        ("p95", "", |of| Value::signed_ns(of.leg.p95)),
        ("p99", "", |of| Value::signed_ns(of.leg.p99)),
        ("p99.9", "", |of| Value::signed_ns(of.leg.p999)),
        ("mean", "", |of| Value::mean_ns(of.leg.mean)),
        ("stddev", "standard deviation of the sample", |of| Value::mean_ns(of.leg.stddev)),
        ("max", "", |of| Value::signed_ns(of.leg.max)),
        ("share", "of the mean latency", |of| {
            Value::share(of.cell.latency_ns.as_ref().map(|latency| of.leg.mean / latency.mean))
        }),
    ];
    let cells = || WORKLOADS.into_iter().flat_map(|workload| result.cells_of(workload));
    let bottlenecks: Vec<String> = cells().filter_map(bottleneck).collect();
    let mut parts = Vec::new();
    if !bottlenecks.is_empty() {
        parts.push(SectionPart::Text("Longest leg by the medians:".to_owned()));
        parts.push(SectionPart::List(bottlenecks));
    }
    let stamped = || cells().filter(|cell| LEGS.iter().any(|leg| (leg.of)(&cell.legs_ns).is_some()));
    let mut medians = Table::new("table-legs", "Medians of the legs", 3, &KEYS, stamped());
    medians.columns.extend(LEGS.map(|Leg { name, about, .. }| TableColumn { name, about, prose: false }));
    for (row, cell) in medians.rows.iter_mut().zip(stamped()) {
        row.extend(LEGS.map(|leg| Value::signed_ns((leg.of)(&cell.legs_ns).as_ref().map(|leg| leg.p50))));
    }
    let of_cell = |cell| {
        LEGS.into_iter()
            .filter_map(move |Leg { name, of, .. }| Some(CellLeg { cell, name, leg: of(&cell.legs_ns).as_ref()? }))
    };
    let each: Vec<CellLeg<'_>> = cells().flat_map(of_cell).collect();
    let caption = "Each leg: count, range, percentiles, mean, deviation, share of the mean latency";
    let each = Table::new("table-legs-each", caption, 4, &leg_columns, &each).folded();
    parts.extend([medians, each].into_iter().filter_map(|table| table.without_unknown_columns().part()));
    if !parts.is_empty() {
        parts.push(SectionPart::Text(
            "One-way legs (inject, notify, ack, answer) come only from blocks with a stable clock offset. They may be \
             negative by the uncertainty of the offset."
                .to_owned(),
        ));
    }
    parts
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
        label(cell),
        cell.mode,
        duration(longest),
        duration(total),
    ))
}
