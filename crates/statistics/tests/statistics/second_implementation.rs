//! Compares with `NumPy` and `SciPy` on the same numbers. `second_implementation.py` in this directory prints the
//! expected values.

use statistics::{Interval, LegSummary, Outliers, Percentile, Summary, ratio_of_medians};

/// A linear congruential generator's upper 24 bits as a reciprocal, which gives a long right tail.
fn series(seed: u64, n: usize) -> Vec<u64> {
    let states = std::iter::successors(Some(seed), |state| {
        Some(state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407))
    });
    states.skip(1).take(n).map(|state| (1 << 40) / (1 + (state >> 40))).collect()
}

fn close(ours: f64, theirs: f64) -> bool {
    (ours / theirs - 1.0).abs() < 1e-9
}

/// `numpy.quantile(method="inverted_cdf")`.
#[test]
fn percentiles_match_numpy() {
    let summary = Summary::from_samples(series(1, 100_000)).expect("samples");
    assert_eq!(
        [summary.p50, summary.p90, summary.p95, summary.p99, summary.p999, summary.p9999].map(Option::unwrap),
        [131_084, 651_488, 1_296_023, 6_644_779, 63_193_955, 771_587_107]
    );
    assert_eq!((summary.min, summary.max), (65_536, 18_024_780_783));
}

#[test]
fn tails_of_a_leg_match_numpy() {
    let leg =
        LegSummary::from_samples(series(1, 100_000).into_iter().map(u64::cast_signed).collect()).expect("samples");
    assert_eq!((leg.p50, leg.p90, leg.p99), (131_084, Some(651_488), Some(6_644_779)));
}

/// `numpy.mean` and `numpy.std(ddof=1)`.
#[test]
fn mean_and_deviation_match_numpy() {
    let summary = Summary::from_samples(series(1, 100_000)).expect("samples");
    assert!(close(summary.mean, 896_176.850_14), "{}", summary.mean);
    let deviation = summary.stddev.expect("more than one");
    assert!(close(deviation, 59_036_529.611_833_215), "{deviation}");
}

/// `scipy.stats.quantile_test(x, p=p).confidence_interval(0.95)`.
#[test]
fn intervals_match_scipy() {
    let intervals = Summary::from_samples(series(1, 100_000)).expect("samples").intervals;
    let ends = [intervals.p50, intervals.p90, intervals.p95, intervals.p99, intervals.p999, intervals.p9999];
    assert_eq!(
        ends.map(|interval| interval.map(|Interval { low, high }| (low, high)).unwrap()),
        [
            (130_233, 131_907),
            (639_170, 664_172),
            (1_263_396, 1_328_739),
            (6_247_793, 7_052_762),
            (52_065_140, 76_317_875),
            (337_999_270, 1_491_874_664),
        ]
    );
}

/// `scipy.stats.binom.ppf(0.025, n, p)` and `isf(0.025, n, p) + 1`; `None` where the latter is beyond `n`.
#[test]
fn ranks_match_the_binomial_distribution_of_scipy() {
    for (percentile, n, ranks) in [
        (Percentile::P50, 6, Some((1, 6))),
        (Percentile::P95, 71, None),
        (Percentile::P95, 72, Some((64, 72))),
        (Percentile::P50, 101, Some((41, 61))),
        (Percentile::P90, 12_345, Some((11_045, 11_176))),
        (Percentile::P999, 1_000_000, Some((998_938, 999_062))),
        (Percentile::P50, 3_000_000, Some((1_498_303, 1_501_698))),
    ] {
        // Each of the numbers 1 to `n` is its own rank.
        let numbers: Vec<u32> = (1..=n).collect();
        let interval = percentile.interval(&numbers);
        assert_eq!(interval, ranks.map(|(low, high)| Interval { low, high }), "{percentile:?} of {n}");
    }
}

/// Fences at 1.5 and 3 ranges from `numpy.quantile([0.25, 0.75], method="inverted_cdf")`.
#[test]
fn outliers_match_quartiles_of_numpy() {
    let samples = series(1, 100_000);
    let mirrored = samples.iter().map(|sample| (1 << 40) - sample).collect();
    let high = Summary::from_samples(samples).expect("samples").outliers;
    let low = Summary::from_samples(mirrored).expect("samples").outliers;
    assert_eq!(high, Outliers { high_mild: 4_122, high_severe: 8_268, ..Outliers::default() });
    assert_eq!(low, Outliers { low_severe: 8_268, low_mild: 4_122, ..Outliers::default() });
}

/// Eight blocks each, of 1,000 and of 500 samples. The ratio is exact. The expected ends of the interval are from other
/// random numbers and ten times as many replicates.
#[test]
fn ratio_of_medians_and_its_interval_match_numpy() {
    let (a, b) = (series(3, 8_000), series(4, 4_000));
    let a: Vec<&[u64]> = a.chunks(1_000).collect();
    let b: Vec<&[u64]> = b.chunks(500).collect();
    let ratio = ratio_of_medians(&a, &b, 1).expect("a ratio");
    assert!(close(ratio.ratio, 0.993_038_104_420_841_6), "{ratio:?}");
    let Interval { low, high } = ratio.interval;
    assert!((low - 0.924).abs() < 0.015 && (high - 1.064).abs() < 0.015, "{ratio:?}");
}
