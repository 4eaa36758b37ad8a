//! Page, text report, tables and document say the same.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use bench_model::units::{duration, speed, thousands};
use bench_model::{WaitMode, Workload};
use report::RunResult;
use report::result::Cell;
use tempfile::TempDir;

use crate::render::html_parser::{heads, table};
use crate::run::{folder, rendered};
use crate::synthetic::Synthetic;

fn read(dir: &Path, name: &str) -> String {
    fs::read_to_string(dir.join(name)).expect("the file is there")
}

fn or_dash(figure: Option<impl ToString>) -> String {
    figure.map_or("–".to_owned(), |figure| figure.to_string())
}

fn cell<'a>(result: &'a RunResult, workload: Workload, mode: &str) -> &'a Cell {
    result.cells.iter().find(|cell| cell.workload == workload && cell.mode == mode).expect("it was measured")
}

/// Enough round trips for p99, frames, a storm and a stream.
fn run() -> Synthetic {
    Synthetic::empty()
        .with(Workload::Pingpong, WaitMode::Poll, WaitMode::Poll, 64, 1_200)
        .with(Workload::Pingpong, WaitMode::Irq, WaitMode::Irq, 64, 40)
        .with(Workload::Frame, WaitMode::Poll, WaitMode::Poll, 6_220_800, 12)
        .with(Workload::Frame, WaitMode::Irq, WaitMode::Irq, 6_220_800, 10)
        .with_storm(2_000)
        .with_stream(4_096, 50_000)
}

fn text_full(dir: &Path) -> String {
    let again = report::rerender(dir).expect("rendered again");
    report::render::text::full(&again.result, &again.run, dir)
}

/// Rendered once.
static RENDERED: LazyLock<(TempDir, RunResult)> = LazyLock::new(|| {
    let dir = folder(&run());
    let result = rendered(dir.path()).expect("rendered");
    (dir, result)
});

#[test]
fn the_page_has_the_exact_figures_of_the_document() {
    let (dir, result) = &*RENDERED;
    let page = read(dir.path(), "report.html");
    for workload in [Workload::Pingpong, Workload::Frame] {
        let id = format!("table-percentiles-{workload}");
        let names = heads(&page, &id);
        let rows = table(&page, &id);
        assert_eq!(rows.len(), 2, "{rows:?}");
        for row in rows {
            let latency = cell(result, workload, &row[1]).latency_ns.as_ref().expect("figures");
            for (name, value) in names.iter().zip(&row).skip(2) {
                let expected = match name.as_str() {
                    "p50" => latency.p50,
                    "p90" => latency.p90,
                    "p95" => latency.p95,
                    "p99" => latency.p99,
                    "max" => Some(latency.max),
                    other => panic!("a column that has no figure in this run: {other}"),
                };
                assert_eq!(*value, or_dash(expected), "{workload} {} {name}", row[1]);
            }
        }
        for row in table(&page, &format!("table-moments-{workload}")) {
            let cell = cell(result, workload, &row[1]);
            let latency = cell.latency_ns.as_ref().expect("figures");
            let failed: u64 = cell.failures.values().sum();
            let expected = [cell.n.to_string(), failed.to_string(), latency.min.to_string(), latency.mean.to_string()];
            assert_eq!(row[2..6], expected);
            assert_eq!(row[7], or_dash(latency.stddev));
        }
    }
    for row in table(&page, "table-frames") {
        let cell = cell(result, Workload::Frame, &row[1]);
        assert_eq!((&row[2], &row[5]), (&cell.n.to_string(), &or_dash(cell.bytes_per_second)));
    }
    for row in table(&page, "table-cpu") {
        let name = row[0].as_str();
        let workload = Workload::ALL.into_iter().find(|workload| workload.name() == name).expect("a workload");
        let cpu = &cell(result, workload, &row[2]).cpu;
        assert_eq!(row[3..5], [or_dash(cpu.host_us_per_op), or_dash(cpu.vcpu_us_per_op)]);
        assert_eq!(row[7], or_dash(cpu.cores));
    }
}

#[test]
fn the_full_text_report_has_the_figures_of_the_document() {
    let (dir, result) = &*RENDERED;
    let text = text_full(dir.path());
    let (_, moments) =
        text.split_once("Count, range, mean and deviation of pingpong, round trip\n").expect("the table is there");
    for (mode, line) in ["poll", "irq"].into_iter().zip(moments.lines().skip(2)) {
        let cell = cell(result, Workload::Pingpong, mode);
        let latency = cell.latency_ns.as_ref().expect("figures");
        let mut expected = vec!["64 B".to_owned(), mode.to_owned(), thousands(cell.n), "0".to_owned()];
        expected.push(duration(latency.min as f64));
        expected.push(duration(latency.mean));
        expected.push(duration(latency.p50.expect("a median") as f64));
        expected.push(duration(latency.stddev.expect("a deviation")));
        expected.push(duration(latency.max as f64));
        let words: Vec<&str> = line.split_whitespace().collect();
        let wanted = expected.join(" ");
        assert!(words.join(" ").starts_with(&wanted), "{line}\n{wanted}");
    }
    for mode in ["poll", "irq"] {
        let cell = cell(result, Workload::Frame, mode);
        let bandwidth = speed(cell.bytes_per_second.expect("a speed"));
        let row = text.lines().find(|line| line.starts_with("1080p") && line.contains(mode) && line.contains("100 %"));
        assert!(row.expect("a row").contains(&bandwidth), "{row:?}");
    }
    // The legs of each direction are there with all of their figures.
    let notify = cell(result, Workload::Frame, "irq").legs_ns.notify.as_ref().expect("stamped");
    let row =
        text.lines().find(|line| line.starts_with("frame") && line.contains(" irq ") && line.contains(" notify "));
    for figure in [notify.min, notify.p50, notify.max] {
        assert!(row.expect("a row").contains(&duration(figure as f64)), "{row:?}");
    }
}

#[test]
fn the_tables_hold_the_samples_that_the_page_counts() {
    let (dir, _) = &*RENDERED;
    let (page, csv) = (read(dir.path(), "report.html"), read(dir.path(), "latency_results.csv"));
    for row in table(&page, "table-moments-pingpong") {
        let samples: Vec<u64> = csv
            .lines()
            .filter(|line| line.ends_with(&format!(",{}", row[1])))
            .map(|line| line.split(',').nth(1).expect("a column").parse().expect("a number"))
            .collect();
        let (least, most) = (samples.iter().min().expect("samples"), samples.iter().max().expect("samples"));
        assert_eq!(row[2], samples.len().to_string());
        assert_eq!((&row[4], &row[8]), (&least.to_string(), &most.to_string()));
    }
    let frames = read(dir.path(), "bandwidth_results.csv");
    for row in table(&page, "table-frames") {
        let count = frames.lines().filter(|line| line.contains(&format!(",{},", row[1]))).count();
        assert_eq!(row[2], count.to_string());
    }
}

#[test]
fn every_cell_of_the_document_is_in_the_page() {
    let (dir, result) = &*RENDERED;
    let page = read(dir.path(), "report.html");
    assert_eq!(table(&page, "table-cpu").len(), result.cells.len());
    let is_counted = |cell: &&Cell| cell.counters.has_events();
    assert_eq!(table(&page, "table-counters").len(), result.cells.iter().filter(is_counted).count());
    assert_eq!(table(&page, "table-checks").len(), result.self_checks.len());
    assert_eq!(table(&page, "table-ceilings").len(), 2 * result.ceilings.len());
    assert_eq!((table(&page, "table-storm").len(), table(&page, "table-stream").len()), (1, 1));
}

#[test]
fn counters_leave_out_columns_and_rows_of_zeros() {
    let (dir, _) = &*RENDERED;
    let page = read(dir.path(), "report.html");
    let names = heads(&page, "table-counters");
    assert!(names.contains(&"rings".to_owned()) && !names.contains(&"lost".to_owned()), "{names:?}");
    for row in table(&page, "table-counters") {
        assert!(row.iter().skip(3).any(|value| value != "0" && value != "–"), "{row:?}");
    }
    assert!(page.contains("Zero or unknown in every case: ") && page.contains("lost."));
}
