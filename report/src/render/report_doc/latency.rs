//! Latency: percentiles with their intervals, and the moments.

use crate::result::metric::{Latencies, Metric};
use crate::result::{Cell, RunResult};
use bench_model::Workload;

use super::case;
use super::table::{Part, Row, Table, columns};
use super::value::Value;

/// Workloads whose latency is told here; a storm's last message and an open loop's are told with their workloads.
const TOLD: [Workload; 3] = [Workload::Pingpong, Workload::Paced, Workload::Frame];

pub(super) fn parts(result: &RunResult) -> Vec<Part> {
    let mut parts = Vec::new();
    for workload in TOLD {
        parts.extend(tables(result, workload));
    }
    if !parts.is_empty() {
        parts.insert(0, Part::Text(
            "Nearest-rank percentiles. Each needs enough samples: p90 10, p95 20, p99 1,000, p99.9 10,000, p99.99 100,000. \
             Brackets: 95 % interval, of the median by block bootstrap, of the others from order statistics. Outliers are \
             counted and not removed."
                .to_owned(),
        ));
    }
    parts
}

/// The latency tables of one workload: percentiles, and count, range, mean and deviation.
pub(super) fn tables(result: &RunResult, workload: Workload) -> Vec<Part> {
    let cells: Vec<&Cell> = case::of(result, workload).collect();
    let corrected = matches!(workload, Workload::Paced | Workload::Openloop | Workload::Contention);
    let percentile_table = percentiles(
        format!("table-percentiles-{workload}"),
        format!("Percentiles of {}", case::description(workload)),
        &cells,
        |cell| cell.latencies_by(Metric::Latency),
    );
    let due_table = corrected.then(|| {
        percentiles(
            format!("table-due-{workload}"),
            format!("Percentiles of {workload}, corrected latency: from the scheduled send time (corrected for coordinated omission)"),
            &cells,
            |cell| cell.latencies_by(Metric::CorrectedLatency),
        )
    });
    let tables = [Some(percentile_table), due_table, Some(moments(workload, &cells))];
    tables.into_iter().flatten().filter_map(|table| table.without_unknown_columns().part()).collect()
}

fn percentiles(id: String, caption: String, cells: &[&Cell], of: fn(&Cell) -> Option<Latencies<'_>>) -> Table {
    let row = |cell: &&Cell| {
        let Latencies { ns: all, p50_interval_ns, .. } = of(cell)?;
        // The bootstrap knows of drift between blocks, which order statistics do not.
        let p50_interval = p50_interval_ns.or(all.intervals.p50);
        let mut values = case::keys(cell);
        values.extend([
            Value::ns(all.p50).within_ns(p50_interval),
            Value::ns(all.p90).within_ns(all.intervals.p90),
            Value::ns(all.p95).within_ns(all.intervals.p95),
            Value::ns(all.p99).within_ns(all.intervals.p99),
            Value::ns(all.p999).within_ns(all.intervals.p999),
            Value::ns(all.p9999).within_ns(all.intervals.p9999),
            Value::ns(all.max),
        ]);
        Some(Row { mode: Some(cell.mode.clone()), values })
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
        let all = cell.latency_ns.as_ref();
        let mut values = case::keys(cell);
        values.extend([
            Value::count(cell.n),
            Value::count(cell.failed()),
            Value::ns(all.map(|all| all.min)),
            Value::mean_ns(all.map(|all| all.mean)),
            Value::ns(all.and_then(|all| all.p50)),
            Value::mean_ns(all.and_then(|all| all.stddev)),
            Value::ns(all.map(|all| all.max)),
            Value::count(all.map(|all| all.outliers.total())),
            Value::number(cell.noise_floor),
        ]);
        Row { mode: Some(cell.mode.clone()), values }
    };
    Table {
        id: format!("table-moments-{workload}"),
        caption: format!("Count, range, mean and deviation of {workload}, {}", Metric::Latency.words(workload)),
        keys: 2,
        columns: columns(&[
            ("case", ""),
            ("mode", ""),
            ("count", "operations that ended ok"),
            ("failed", "operations that failed; not in the figures"),
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
