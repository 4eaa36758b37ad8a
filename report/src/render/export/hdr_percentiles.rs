//! `<cell>.hgrm`: a cell's percentiles as `HdrHistogram` prints them (`outputPercentileDistribution`), for its plotter
//! and other programs that read this format. Values are microseconds, with nanoseconds as decimals.

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

/// Percentile ticks per half distance, the usual value of the format.
const TICKS_PER_HALF: f64 = 5.0;

const NS_PER_US: f64 = 1e3;

/// Writes a file for each cell that has latencies. Removes the files of an earlier rendering for cells that this run
/// does not have, so they are not mistaken for this run's.
pub(crate) fn write_all(dir: &Path, run: &Run) -> Result<(), ReportError> {
    let recordings = recordings(run);
    remove_stale(dir, &recordings.iter().map(|recording| format!("{}.hgrm", recording.name)).collect())?;
    for recording in recordings {
        let (histogram, beyond) = histogram(recording.blocks.iter().flat_map(|(_, series)| series.iter().copied()));
        replace(&dir.join(format!("{}.hgrm", recording.name)), |out| write(&histogram, beyond, out))?;
    }
    Ok(())
}

/// Removes files that are named like a cell's file and are not in `wanted`.
fn remove_stale(dir: &Path, wanted: &BTreeSet<String>) -> Result<(), ReportError> {
    let is_ours = |name: &str| {
        let cell = name.strip_suffix(".hgrm").and_then(|cell| cell.split_once('-'));
        cell.is_some_and(|(workload, _)| Workload::ALL.iter().any(|listed| listed.name() == workload))
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
        // At 100 % the divisor is zero.
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

/// One line: a value, the number of samples up to it, and the percentage of all samples that this number reaches.
struct Step {
    ns: u64,
    percent: f64,
    so_far: u64,
}

/// The percentages of the format, each with the smallest value that reaches it. The library's own iterator accumulates
/// percentages as floating-point shares, so it skips a value that reaches a percentage exactly: of ten samples, the
/// third is the 30th percentile.
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
    fn output_matches_the_format() {
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
    fn value_that_reaches_a_percentile_exactly_is_used() {
        let (histogram, _) = histogram(1..=10);
        let of = |percent: f64| {
            let step = steps(&histogram).into_iter().find(|step| (step.percent - percent).abs() < 1e-9);
            step.map(|step| (step.ns, step.so_far))
        };
        assert_eq!([of(30.0), of(60.0), of(70.0), of(90.0)], [3, 6, 7, 9].map(|rank| Some((rank, rank))));
    }

    #[test]
    fn empty_histogram_has_header_and_footer_only() {
        assert_eq!(written(&[]).lines().filter(|line| !line.starts_with('#')).count(), 2);
    }

    #[test]
    fn values_beyond_the_range_are_counted_separately() {
        let text = written(&[5, u64::MAX, u64::MAX - 1]);
        assert!(text.contains("Total count    =            1]"), "{text}");
        assert!(text.contains("Beyond range   =            2]"), "{text}");
    }
}
