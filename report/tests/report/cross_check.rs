//! Recomputes values from `samples.csv` in a few plain lines and compares them with every other file.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use bench_model::samples::Status;
use bench_model::units::FRAME_1080P;
use bench_model::{WaitMode, Workload};
use serde_json::Value;

use crate::run::{folder, lines, rendered};
use crate::synthetic::Synthetic;

/// Round trips and frames in several blocks with varying latencies, failures, and one outlier.
fn scattered() -> Synthetic {
    let mut run = Synthetic::empty();
    for _ in 0..4 {
        run = run
            .with(Workload::Pingpong, WaitMode::Poll, WaitMode::Poll, 64, 300)
            .with(Workload::Pingpong, WaitMode::Irq, WaitMode::Irq, 64, 251)
            .with(Workload::Frame, WaitMode::Irq, WaitMode::Irq, FRAME_1080P, 7);
    }
    for (position, row) in run.rows.iter_mut().enumerate() {
        let scattered = (position as u64 * 7_919 + 13) % 1_009;
        row.rtt_ns = Some(scattered * scattered + 1);
        row.end_to_end_ns = row.end_to_end_ns.map(|ns| ns + scattered * 1_000);
        row.status = if position % 97 == 5 { Status::Timeout } else { Status::Ok };
    }
    run.rows[17].rtt_ns = Some(5_000_000_000);
    run
}

/// Latencies of successful operations by cell, ascending, read from the columns of `samples.csv`.
fn by_hand(dir: &Path) -> BTreeMap<(String, String), Vec<u64>> {
    let text = fs::read_to_string(dir.join("samples.csv")).expect("there");
    let mut table = text.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let header = table.next().expect("a header");
    let column = |name: &str| header.iter().position(|column| *column == name).expect("the column is there");
    let (workload, mode, status) = (column("workload"), column("mode"), column("status"));
    let (rtt, whole) = (column("rtt_ns"), column("end_to_end_ns"));
    let mut cells: BTreeMap<_, Vec<u64>> = BTreeMap::new();
    for row in table.filter(|row| row[status] == "ok") {
        let latency = if row[workload] == "frame" { row[whole] } else { row[rtt] };
        let cell = cells.entry((row[workload].to_owned(), row[mode].to_owned())).or_default();
        cell.push(latency.parse().expect("a number"));
    }
    for cell in cells.values_mut() {
        cell.sort_unstable();
    }
    cells
}

/// The nearest-rank percentile.
fn nearest_rank(sorted: &[u64], per_thousand: usize) -> u64 {
    sorted[(sorted.len() * per_thousand).div_ceil(1_000) - 1]
}

fn mean(samples: &[u64]) -> f64 {
    samples.iter().map(|&ns| ns as f64).sum::<f64>() / samples.len() as f64
}

fn deviation(samples: &[u64]) -> f64 {
    let mean = mean(samples);
    let squares: f64 = samples.iter().map(|&ns| (ns as f64 - mean) * (ns as f64 - mean)).sum();
    (squares / (samples.len() as f64 - 1.0)).sqrt()
}

fn assert_close(actual: f64, expected: f64, share: f64) {
    assert!((actual - expected).abs() <= expected.abs() * share, "{actual} instead of {expected}");
}

#[test]
fn result_matches_the_samples() {
    let dir = folder(&scattered());
    rendered(dir.path()).expect("rendered");
    let text = fs::read(dir.path().join("result.json")).expect("written");
    let document: Value = serde_json::from_slice(&text).expect("JSON");
    let cells = by_hand(dir.path());
    let documented = document["cells"].as_array().expect("cells");
    assert_eq!(documented.len(), cells.len());
    for cell in documented {
        let text = |name: &str| cell[name].as_str().expect("text").to_owned();
        let samples = &cells[&(text("workload"), text("mode"))];
        let latency = &cell["latency_ns"];
        assert_eq!(cell["n"], samples.len());
        assert_eq!(latency["min"], samples[0]);
        assert_eq!(latency["max"], samples[samples.len() - 1]);
        for (name, per_thousand, from) in
            [("p50", 500, 1), ("p90", 900, 10), ("p95", 950, 20), ("p99", 990, 1_000), ("p999", 999, 10_000)]
        {
            let expected = (samples.len() >= from).then(|| nearest_rank(samples, per_thousand));
            assert_eq!(latency[name].as_u64(), expected, "{name} of {}", cell["mode"]);
        }
        assert_close(latency["mean"].as_f64().expect("a mean"), mean(samples), 1e-12);
        assert_close(latency["stddev"].as_f64().expect("a deviation"), deviation(samples), 1e-12);
    }
    let failures: u64 = documented.iter().filter_map(|cell| cell["failures"]["timeout"].as_u64()).sum();
    let in_all = fs::read_to_string(dir.path().join("samples.csv")).expect("there").matches(",timeout").count();
    assert_eq!(failures, in_all as u64);
    assert!(failures > 0);
}

#[test]
fn csv_tables_match_the_samples() {
    let dir = folder(&scattered());
    rendered(dir.path()).expect("rendered");
    let cells = by_hand(dir.path());

    let mut latencies: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for line in &lines(dir.path(), "latency_results.csv")[1..] {
        let fields: Vec<&str> = line.split(',').collect();
        let ns: u64 = fields[1].parse().expect("a number");
        assert_close(fields[2].parse().expect("a number"), ns as f64 / 1e3, 1e-12);
        latencies.entry(fields[3].to_owned()).or_default().push(ns);
    }
    for (mode, mut exported) in latencies {
        exported.sort_unstable();
        assert_eq!(exported, cells[&("pingpong".to_owned(), mode)]);
    }

    let mut frames = Vec::new();
    for line in &lines(dir.path(), "bandwidth_results.csv")[1..] {
        let fields: Vec<&str> = line.split(',').collect();
        if fields[10] == "ok" {
            let ns: u64 = fields[8].parse().expect("a number");
            assert_close(fields[9].parse().expect("a number"), FRAME_1080P as f64 / ns as f64, 1e-4);
            frames.push(ns);
        } else {
            assert_eq!(fields[9], "", "failed frames lack a rate");
        }
    }
    frames.sort_unstable();
    assert_eq!(frames, cells[&("frame".to_owned(), "irq".to_owned())]);
}

/// A line: microseconds, cumulative fraction, cumulative count.
type Line = (f64, f64, u64);

/// Parses a percentile file: lines of four numbers (three in the last), comments with `#`.
fn hgrm(dir: &Path, name: &str) -> (Vec<Line>, BTreeMap<String, f64>) {
    let (mut table, mut footer) = (Vec::new(), BTreeMap::new());
    for line in &lines(dir, name)[2..] {
        if let Some(comment) = line.strip_prefix("#[") {
            for pair in comment.trim_end_matches(']').split(", ") {
                let (key, value) = pair.split_once('=').expect("a name and a value");
                footer.insert(key.trim().to_owned(), value.trim().parse().unwrap_or(f64::NAN));
            }
        } else {
            let numbers: Vec<f64> = line.split_whitespace().map(|number| number.parse().expect("a number")).collect();
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
            table.push((numbers[0], numbers[1], numbers[2] as u64));
        }
    }
    (table, footer)
}

#[test]
fn histograms_match_to_three_digits() {
    let dir = folder(&scattered());
    rendered(dir.path()).expect("rendered");
    for ((workload, mode), samples) in by_hand(dir.path()) {
        let size = if workload == "frame" { "1080p" } else { "64B" };
        let (table, footer) = hgrm(dir.path(), &format!("{workload}-{size}-{mode}.hgrm"));
        assert!(table.is_sorted_by(|a, b| a.0 <= b.0 && a.1 <= b.1 && a.2 <= b.2));
        for &(us, share, count) in &table {
            // The count matches the samples up to this value, within the histogram's precision of 0.1 %.
            let at_most = samples.iter().filter(|&&ns| ns as f64 <= us * 1e3 + 0.5).count() as u64;
            assert_eq!(at_most, count, "{us} µs");
            assert!(count as f64 >= share * samples.len() as f64 - 1e-6);
        }
        let (last, n) = (table[table.len() - 1], samples.len());
        assert_eq!((last.1, last.2), (1.0, n as u64));
        assert_close(last.0 * 1e3, samples[n - 1] as f64, 1e-3);
        for per_thousand in [300, 500, 750, 900] {
            let share = per_thousand as f64 / 1e3;
            let line = table.iter().find(|line| line.1 >= share - 1e-9).expect("a line");
            assert_close(line.0 * 1e3, nearest_rank(&samples, per_thousand) as f64, 1.1e-3);
        }
        assert_close(footer["Mean"] * 1e3, mean(&samples), 1e-3);
        assert_close(footer["Total count"], n as f64, 0.0);
        assert_close(footer["Beyond range"], 0.0, 0.0);
    }
}
