//! Section "Latency": percentiles with intervals; count, range, mean and deviation.

use crate::result::cell::Latencies;
use crate::result::metric::Metric;
use crate::result::{Cell, RunResult};
use bench_model::Workload;

use crate::render::report_doc::cell_label;
use crate::render::report_doc::table::{SectionPart, Table, TableRow, columns};
use crate::render::report_doc::value::Value;

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
    let cells: Vec<&Cell> = cell_label::cells_of(result, workload).collect();
    let corrected = matches!(workload, Workload::Paced | Workload::Openloop | Workload::Contention);
    let percentile_table = percentiles(
        format!("table-percentiles-{workload}"),
        format!("Percentiles of {}", cell_label::description(workload)),
        &cells,
        |cell| cell.latencies_by(Metric::Latency),
    );
    let corrected_table = corrected.then(|| {
        percentiles(
            format!("table-due-{workload}"),
            format!("Percentiles of {workload}, corrected latency (from the scheduled send time)"),
            &cells,
            |cell| cell.latencies_by(Metric::CorrectedLatency),
        )
    });
    let tables = [Some(percentile_table), corrected_table, Some(moments(workload, &cells))];
    tables.into_iter().flatten().filter_map(|table| table.without_unknown_columns().part()).collect()
}

fn percentiles(id: String, caption: String, cells: &[&Cell], latencies: fn(&Cell) -> Option<Latencies<'_>>) -> Table {
    let row = |cell: &&Cell| {
        let Latencies { ns, p50_interval_ns, .. } = latencies(cell)?;
        // The block bootstrap includes drift between blocks; order statistics do not.
        let p50_interval = p50_interval_ns.or(ns.intervals.p50);
        let mut values = cell_label::keys(cell);
        values.extend([
            Value::ns(ns.p50).within_ns(p50_interval),
            Value::ns(ns.p90).within_ns(ns.intervals.p90),
            Value::ns(ns.p95).within_ns(ns.intervals.p95),
            Value::ns(ns.p99).within_ns(ns.intervals.p99),
            Value::ns(ns.p999).within_ns(ns.intervals.p999),
            Value::ns(ns.p9999).within_ns(ns.intervals.p9999),
            Value::ns(ns.max),
        ]);
        Some(TableRow { mode: Some(cell.mode.clone()), values })
    };
    Table {
        id,
        caption,
        keys: 2,
        columns: columns(&[
            ("case", ""),
            ("mode", ""),
            ("p50", "the median"),
            ("p90", "90 % took at most this"),
            ("p95", "95 % took at most this"),
            ("p99", "99 % took at most this"),
            ("p99.9", "99.9 % took at most this"),
            ("p99.99", "99.99 % took at most this"),
            ("max", "the slowest of n"),
        ]),
        rows: cells.iter().filter_map(row).collect(),
        detail: false,
    }
}

fn moments(workload: Workload, cells: &[&Cell]) -> Table {
    let row = |cell: &&Cell| {
        let latency = cell.latency_ns.as_ref();
        let mut values = cell_label::keys(cell);
        values.extend([
            Value::count(cell.n),
            Value::count(cell.failed()),
            Value::ns(latency.map(|all| all.min)),
            Value::mean_ns(latency.map(|all| all.mean)),
            Value::ns(latency.and_then(|all| all.p50)),
            Value::mean_ns(latency.and_then(|all| all.stddev)),
            Value::ns(latency.map(|all| all.max)),
            Value::count(latency.map(|all| all.outliers.total())),
            Value::number(cell.noise_floor),
        ]);
        TableRow { mode: Some(cell.mode.clone()), values }
    };
    Table {
        id: format!("table-moments-{workload}"),
        caption: format!("Count, range, mean and deviation of {workload}, {}", Metric::Latency.words(workload)),
        keys: 2,
        columns: columns(&[
            ("case", ""),
            ("mode", ""),
            ("count", "operations that succeeded"),
            ("failed", "operations that failed; excluded from the statistics"),
            ("min", ""),
            ("mean", ""),
            ("median", ""),
            ("stddev", "standard deviation of the sample"),
            ("max", "the slowest of n"),
            ("outliers", "beyond 1.5 times the interquartile range; not removed"),
            ("noise floor", "ratio that one half of the blocks reaches against the other"),
        ]),
        rows: cells.iter().map(row).collect(),
        detail: false,
    }
}
