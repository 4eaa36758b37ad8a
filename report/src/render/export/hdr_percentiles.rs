//! `<cell>.hgrm`: a cell's percentiles as `HdrHistogram` prints them (`outputPercentileDistribution`), for its plotter and
//! for everything else that reads this format. Values are microseconds, with nanoseconds behind the point.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write};
use std::path::Path;

use hdrhistogram::Histogram;

use super::hdr::{SUB_BUCKETS, histogram, recordings};
use crate::io::error::ReportError;
use crate::io::run::Run;
use crate::io::write::replace;
use bench_model::Workload;

/// Lines per halving of what is left above a percentile, the format's customary number.
const TICKS_PER_HALF: f64 = 5.0;

const NS_PER_US: f64 = 1e3;

/// Writes a file for each cell that has latencies. Those of an earlier rendering that this one does not have are removed, so
/// that none is taken for this run's.
pub(crate) fn write_all(dir: &Path, run: &Run) -> Result<(), ReportError> {
    let recordings = recordings(run);
    remove_stale(dir, &recordings.iter().map(|recording| format!("{}.hgrm", recording.name)).collect())?;
    for recording in recordings {
        let (histogram, beyond) = histogram(recording.blocks.iter().flat_map(|(_, series)| series.iter().copied()));
        replace(&dir.join(format!("{}.hgrm", recording.name)), |out| write(&histogram, beyond, out))?;
    }
    Ok(())
}

/// Files that are named as cells are, and that no cell is named as.
fn remove_stale(dir: &Path, wanted: &BTreeSet<String>) -> Result<(), ReportError> {
    let is_ours = |name: &str| {
        let cell = name.strip_suffix(".hgrm").and_then(|cell| cell.split_once('-'));
        cell.is_some_and(|(workload, _)| Workload::ALL.iter().any(|known| known.name() == workload))
    };
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    for name in names.filter(|name| is_ours(name) && !wanted.contains(name)) {
        let path = dir.join(name);
        fs::remove_file(&path).map_err(|source| ReportError::Write { path, source })?;
    }
    Ok(())
}

fn write(histogram: &Histogram<u64>, beyond: u64, out: &mut dyn Write) -> io::Result<()> {
    let us = |ns: u64| ns as f64 / NS_PER_US;
    writeln!(out, "{:>12} {:>14} {:>10} {:>14}\n", "Value", "Percentile", "TotalCount", "1/(1-Percentile)")?;
    for Step { ns, percent, so_far } in steps(histogram) {
        let share = percent / 100.0;
        write!(out, "{:12.3} {share:14.12} {so_far:10}", us(ns))?;
        // Above all samples nothing is left to divide by.
        if percent < 100.0 {
            write!(out, " {:14.2}", 1.0 / (1.0 - share))?;
        }
        writeln!(out)?;
    }
    let (mean, deviation) = (histogram.mean() / NS_PER_US, histogram.stdev() / NS_PER_US);
    writeln!(out, "#[Mean    = {mean:12.3}, StdDeviation   = {deviation:12.3}]")?;
    writeln!(out, "#[Max     = {:12.3}, Total count    = {:12}]", us(histogram.max()), histogram.len())?;
    writeln!(out, "#[Buckets = {:12}, SubBuckets     = {SUB_BUCKETS:12}]", histogram.buckets())?;
    writeln!(out, "#[Unit    = microseconds, Beyond range   = {beyond:12}]")
}

/// A line: up to a value lie so many samples, which are at least this percentage of all.
struct Step {
    ns: u64,
    percent: f64,
    so_far: u64,
}

/// The percentages that the format asks for, each with the least value that reaches it. The library's own iterator adds
/// its percentages up as shares, and so passes over a value that reaches one exactly: of ten samples, the third is the
/// 30th percentile.
fn steps(histogram: &Histogram<u64>) -> Vec<Step> {
    let all = histogram.len();
    let (mut steps, mut percent, mut so_far) = (Vec::new(), 0.0, 0);
    for value in histogram.iter_recorded() {
        so_far += value.count_since_last_iteration();
        let (ns, reached) = (value.value_iterated_to(), 100.0 * so_far as f64 / all as f64);
        while reached >= percent {
            steps.push(Step { ns, percent, so_far });
            let halvings = (100.0 / (100.0 - percent)).log2().floor() + 1.0;
            percent += 100.0 / (TICKS_PER_HALF * halvings.exp2());
            if so_far == all {
                steps.push(Step { ns, percent: 100.0, so_far });
                break;
            }
        }
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(samples: &[u64]) -> String {
        let (histogram, beyond) = histogram(samples.iter().copied());
        let mut out = Vec::new();
        write(&histogram, beyond, &mut out).expect("memory takes it");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn the_text_is_what_the_format_asks_for() {
        let expected = concat!(
            "       Value     Percentile TotalCount 1/(1-Percentile)\n\n",
            "       1.000 0.000000000000          1           1.00\n",
            "       1.000 0.100000000000          1           1.11\n",
            "       1.000 0.200000000000          1           1.25\n",
            "       1.000 0.300000000000          1           1.43\n",
            "       1.000 0.400000000000          1           1.67\n",
            "       1.000 0.500000000000          1           2.00\n",
            "       2.000 0.550000000000          2           2.22\n",
            "       2.000 1.000000000000          2\n",
            "#[Mean    =        1.500, StdDeviation   =        0.500]\n",
            "#[Max     =        2.000, Total count    =            2]\n",
            "#[Buckets =           32, SubBuckets     =         2048]\n",
            "#[Unit    = microseconds, Beyond range   =            0]\n",
        );
        assert_eq!(written(&[1_000, 2_000]), expected);
    }

    #[test]
    fn a_percentile_that_is_reached_exactly_is_reached() {
        let (histogram, _) = histogram(1..=10);
        let of = |percent: f64| {
            let step = steps(&histogram).into_iter().find(|step| (step.percent - percent).abs() < 1e-9);
            step.map(|step| (step.ns, step.so_far))
        };
        assert_eq!([of(30.0), of(60.0), of(70.0), of(90.0)], [3, 6, 7, 9].map(|rank| Some((rank, rank))));
    }

    #[test]
    fn nothing_recorded_has_no_line_but_the_last_ones() {
        assert_eq!(written(&[]).lines().filter(|line| !line.starts_with('#')).count(), 2);
    }

    #[test]
    fn values_beyond_the_range_are_counted_and_in_no_line() {
        let text = written(&[5, u64::MAX, u64::MAX - 1]);
        assert!(text.contains("Total count    =            1]"), "{text}");
        assert!(text.contains("Beyond range   =            2]"), "{text}");
    }
}
