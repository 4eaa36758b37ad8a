//! Section "Latency": percentiles with intervals; count, range, mean and deviation.

use crate::result::cell::Latencies;
use crate::result::metric::Metric;
use crate::result::{Cell, RunResult};
use bench_model::Workload;

use crate::render::report_doc::{Column, KEYS, SectionPart, Table, Value, cell_table, description};

/// Workloads of this section. Storms and open loops have their own.
const WORKLOADS: [Workload; 3] = [Workload::Pingpong, Workload::Paced, Workload::Frame];

pub(super) fn latency(result: &RunResult) -> Vec<SectionPart> {
    let mut parts = Vec::new();
    for workload in WORKLOADS {
        parts.extend(tables(result, workload));
    }
    if !parts.is_empty() {
        parts.insert(0, SectionPart::Text(
            "Nearest-rank percentiles. Each needs enough samples: p90 10, p95 20, p99 1,000, p99.9 10,000, p99.99 100,000. \
             Brackets: 95 % interval, of the median by block bootstrap, of the others from order statistics. Outliers are \
             counted and not removed."
                .to_owned(),
        ));
    }
    parts
}

/// The latency tables of one workload: percentiles, and count, range, mean and deviation.
pub(super) fn tables(result: &RunResult, workload: Workload) -> Vec<SectionPart> {
    let columns: [Column<(&Cell, Latencies<'_>)>; 9] = [
        ("case", "", |(cell, _)| KEYS[1].2(cell)),
        ("mode", "", |(cell, _)| KEYS[2].2(cell)),
        ("p50", "the median", |(_, all)| Value::ns(all.ns.p50).within_ns(all.p50_interval())),
        ("p90", "90 % took at most this", |(_, all)| Value::ns(all.ns.p90).within_ns(all.ns.intervals.p90)),
        ("p95", "95 % took at most this", |(_, all)| Value::ns(all.ns.p95).within_ns(all.ns.intervals.p95)),
        ("p99", "99 % took at most this", |(_, all)| Value::ns(all.ns.p99).within_ns(all.ns.intervals.p99)),
        ("p99.9", "99.9 % took at most this", |(_, all)| Value::ns(all.ns.p999).within_ns(all.ns.intervals.p999)),
        ("p99.99", "99.99 % took at most this", |(_, all)| Value::ns(all.ns.p9999).within_ns(all.ns.intervals.p9999)),
        ("max", "the slowest of n", |(_, all)| Value::ns(all.ns.max)),
    ];
    let percentiles = |id: &str, caption: String, metric: Metric| {
        let all = || result.cells_of(workload).filter_map(|cell| Some((cell, cell.latencies_by(metric)?)));
        Table::new(format!("table-{id}-{workload}"), caption, 2, &columns, &all().collect::<Vec<_>>())
    };
    let raw = percentiles("percentiles", format!("Percentiles of {}", description(workload)), Metric::Latency);
    let corrected = matches!(workload, Workload::Paced | Workload::Openloop | Workload::Contention).then(|| {
        let caption = format!("Percentiles of {workload}, corrected latency (from the scheduled send time)");
        percentiles("due", caption, Metric::CorrectedLatency)
    });
    let moments = cell_table(
        format!("table-moments-{workload}"),
        format!("Count, range, mean and deviation of {workload}, {}", Metric::Latency.words(workload)),
        &MOMENTS,
        result.cells_of(workload),
    );
    let tables = [Some(raw), corrected, Some(moments)];
    tables.into_iter().flatten().filter_map(|table| table.without_unknown_columns().part()).collect()
}

const MOMENTS: [Column<Cell>; 9] = [
    ("count", "operations that succeeded", |cell| Value::count(cell.n)),
    ("failed", "operations that failed; excluded from the statistics", |cell| Value::count(cell.failed())),
    ("min", "", |cell| Value::ns(cell.latency_ns.as_ref().map(|all| all.min))),
    ("mean", "", |cell| Value::mean_ns(cell.latency_ns.as_ref().map(|all| all.mean))),
    ("median", "", |cell| Value::ns(cell.latency_ns.as_ref().and_then(|all| all.p50))),
    ("stddev", "standard deviation of the sample", |cell| {
        Value::mean_ns(cell.latency_ns.as_ref().and_then(|all| all.stddev))
    }),
    ("max", "the slowest of n", |cell| Value::ns(cell.latency_ns.as_ref().map(|all| all.max))),
    ("outliers", "beyond 1.5 times the interquartile range; not removed", |cell| {
        Value::count(cell.latency_ns.as_ref().map(|all| all.outliers.total()))
    }),
    ("noise floor", "ratio that one half of the blocks reaches against the other", |cell| {
        Value::number(cell.noise_floor)
    }),
];
