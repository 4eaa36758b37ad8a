//! Summary of a cell's latencies or of one leg.

use serde::{Deserialize, Serialize};

use crate::outliers::Outliers;
use crate::percentile::{Interval, Percentile};

/// Latency of one cell in nanoseconds. A percentile is `None` unless there are enough samples: p50 from 1, p90 from 10,
/// p95 from 20, p99 from 1,000, p99.9 from 10,000, p99.99 from 100,000.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Summary {
    /// Samples.
    pub n: usize,
    /// The least.
    pub min: u64,
    /// The median.
    pub p50: Option<u64>,
    /// 90 % of the samples are at most this.
    pub p90: Option<u64>,
    /// 95 % of the samples are at most this.
    pub p95: Option<u64>,
    /// 99 % of the samples are at most this.
    pub p99: Option<u64>,
    /// 99.9 % of the samples are at most this.
    pub p999: Option<u64>,
    /// 99.99 % of the samples are at most this.
    pub p9999: Option<u64>,
    /// The worst of `n`.
    pub max: u64,
    /// The arithmetic mean.
    pub mean: f64,
    /// Standard deviation of the sample (divisor n − 1); `None` for a single one.
    pub stddev: Option<f64>,
    /// 95 % intervals of the percentiles.
    #[serde(default)]
    pub intervals: Intervals,
    /// Outliers. They are included in all of the above.
    #[serde(default)]
    pub outliers: Outliers,
}

/// 95 % intervals of a [`Summary`]'s percentiles, by [`Percentile::interval`]. `None` if there are too few samples
/// beyond the percentile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Intervals {
    /// Of the median.
    pub p50: Option<Interval<u64>>,
    /// Of the 90th percentile.
    pub p90: Option<Interval<u64>>,
    /// Of the 95th percentile.
    pub p95: Option<Interval<u64>>,
    /// Of the 99th percentile.
    pub p99: Option<Interval<u64>>,
    /// Of the 99.9th percentile.
    pub p999: Option<Interval<u64>>,
    /// Of the 99.99th percentile.
    pub p9999: Option<Interval<u64>>,
}

impl Intervals {
    /// The intervals of ascending samples.
    #[must_use]
    pub fn from_sorted(sorted: &[u64]) -> Self {
        Self {
            p50: Percentile::P50.interval(sorted),
            p90: Percentile::P90.interval(sorted),
            p95: Percentile::P95.interval(sorted),
            p99: Percentile::P99.interval(sorted),
            p999: Percentile::P999.interval(sorted),
            p9999: Percentile::P9999.interval(sorted),
        }
    }
}

impl Summary {
    /// Summarises samples in any order; `None` if there are none.
    #[must_use]
    pub fn from_samples(mut samples: Vec<u64>) -> Option<Self> {
        samples.sort_unstable();
        let (&min, &max) = (samples.first()?, samples.last()?);
        let values = || samples.iter().map(|&sample| sample as f64);
        Some(Self {
            n: samples.len(),
            min,
            p50: Percentile::P50.of(&samples),
            p90: Percentile::P90.of(&samples),
            p95: Percentile::P95.of(&samples),
            p99: Percentile::P99.of(&samples),
            p999: Percentile::P999.of(&samples),
            p9999: Percentile::P9999.of(&samples),
            max,
            mean: mean(values()),
            stddev: deviation(values()),
            intervals: Intervals::from_sorted(&samples),
            outliers: Outliers::from_sorted(&samples),
        })
    }
}

/// One leg of an operation in nanoseconds. Signed, because a one-way leg may be negative by the clocks' bound.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct LegSummary {
    /// Operations that have this leg.
    pub n: usize,
    /// The least.
    pub min: i64,
    /// The median.
    pub p50: i64,
    /// 90 % of the samples are at most this; from 10 samples on.
    #[serde(default)]
    pub p90: Option<i64>,
    /// 95 % of the samples are at most this; from 20 samples on.
    #[serde(default)]
    pub p95: Option<i64>,
    /// 99 % of the samples are at most this; from 1,000 samples on.
    #[serde(default)]
    pub p99: Option<i64>,
    /// 99.9 % of the samples are at most this; from 10,000 samples on.
    #[serde(default)]
    pub p999: Option<i64>,
    /// The arithmetic mean.
    pub mean: f64,
    /// Standard deviation of the sample (divisor n − 1); `None` for a single one.
    #[serde(default)]
    pub stddev: Option<f64>,
    /// The worst of `n`.
    pub max: i64,
}

impl LegSummary {
    /// Summarises samples in any order; `None` if there are none.
    #[must_use]
    pub fn from_samples(mut samples: Vec<i64>) -> Option<Self> {
        samples.sort_unstable();
        let values = || samples.iter().map(|&sample| sample as f64);
        Some(Self {
            n: samples.len(),
            min: *samples.first()?,
            p50: Percentile::P50.of(&samples)?,
            p90: Percentile::P90.of(&samples),
            p95: Percentile::P95.of(&samples),
            p99: Percentile::P99.of(&samples),
            p999: Percentile::P999.of(&samples),
            mean: mean(values()),
            stddev: deviation(values()),
            max: *samples.last()?,
        })
    }
}

/// The mean of at least one value.
fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let n = values.len() as f64;
    values.sum::<f64>() / n
}

/// Standard deviation of the sample; `None` for fewer than two.
pub fn deviation(values: impl ExactSizeIterator<Item = f64> + Clone) -> Option<f64> {
    let n = values.len();
    let mean = mean(values.clone());
    // A second pass around the mean: a sum of squared nanoseconds would lose the digits of the difference.
    let squares: f64 = values.map(|value| (value - mean).powi(2)).sum();
    (n > 1).then(|| (squares / (n - 1) as f64).sqrt())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn percentiles_are_sorted_and_mean_lies_in_the_range(samples in prop::collection::vec(any::<u32>(), 1..2_000)) {
            let samples: Vec<u64> = samples.into_iter().map(u64::from).collect();
            let n = samples.len();
            let summary = Summary::from_samples(samples).expect("there are samples");
            let given: Vec<u64> = [Some(summary.min), summary.p50, summary.p90, summary.p95, summary.p99, Some(summary.max)]
                .into_iter()
                .flatten()
                .collect();
            prop_assert!(given.is_sorted());
            prop_assert!(summary.mean >= summary.min as f64 && summary.mean <= summary.max as f64);
            prop_assert_eq!(summary.n, n);
        }

        #[test]
        fn order_of_samples_does_not_matter(mut samples in prop::collection::vec(0_u64..1_000_000, 1..100)) {
            let forwards = Summary::from_samples(samples.clone());
            samples.reverse();
            prop_assert_eq!(forwards, Summary::from_samples(samples));
        }
    }

    #[test]
    fn no_samples_have_no_summary() {
        assert_eq!(Summary::from_samples(Vec::new()), None);
        assert_eq!(LegSummary::from_samples(Vec::new()), None);
    }

    #[test]
    fn one_sample_is_its_own_median_and_has_no_deviation() {
        let summary = Summary::from_samples(vec![42]).expect("one sample");
        assert_eq!((summary.min, summary.p50, summary.max), (42, Some(42), 42));
        assert_eq!((summary.p90, summary.stddev), (None, None));
    }

    #[test]
    fn nearest_rank_takes_the_textbook_sample() {
        let hundred: Vec<u64> = (1..=100).collect();
        let summary = Summary::from_samples(hundred).expect("samples");
        assert_eq!((summary.p50, summary.p90, summary.p95), (Some(50), Some(90), Some(95)));
    }

    #[test]
    fn deviation_is_the_sample_standard_deviation() {
        let summary = Summary::from_samples(vec![2, 4, 4, 4, 5, 5, 7, 9]).expect("samples");
        assert_eq!((deviation([1.0].into_iter()), deviation([].into_iter())), (None, None));
        let deviation = summary.stddev.expect("more than one");
        assert!((deviation - (32.0_f64 / 7.0).sqrt()).abs() < 1e-12, "{deviation}");
    }

    #[test]
    fn leg_may_be_negative() {
        let leg = LegSummary::from_samples(vec![5, -3, 1]).expect("samples");
        assert_eq!((leg.min, leg.p50, leg.max, leg.n), (-3, 1, 5, 3));
    }

    #[test]
    fn tail_of_a_leg_needs_enough_samples() {
        let leg = |n: i64| LegSummary::from_samples((1..=n).collect()).expect("samples");
        assert_eq!((leg(9).p90, leg(10).p90), (None, Some(9)));
        assert_eq!((leg(19).p95, leg(20).p95), (None, Some(19)));
        assert_eq!((leg(999).p99, leg(1_000).p99), (None, Some(990)));
        assert_eq!((leg(9_999).p999, leg(10_000).p999), (None, Some(9_990)));
        let deviation = LegSummary::from_samples(vec![-2, 0, 2]).expect("samples").stddev.expect("more than one");
        assert!((deviation - 2.0).abs() < 1e-12 && leg(1).stddev.is_none(), "{deviation}");
    }

    #[test]
    fn outliers_are_counted_and_kept_in_the_summary() {
        let mut samples: Vec<u64> = (1_000..1_100).collect();
        samples.push(1_000_000);
        let summary = Summary::from_samples(samples).expect("samples");
        assert_eq!((summary.outliers.high_severe, summary.outliers.total()), (1, 1));
        assert_eq!((summary.n, summary.max), (101, 1_000_000));
        assert!(summary.mean > 10_000.0);
    }

    #[test]
    fn summaries_of_earlier_versions_are_readable() {
        let summary = Summary::from_samples((1..=40).collect()).expect("samples");
        let leg = LegSummary::from_samples((1..=40).collect()).expect("samples");
        let mut old = serde_json::to_value(&summary).expect("JSON");
        let mut old_leg = serde_json::to_value(&leg).expect("JSON");
        old.as_object_mut().expect("an object").retain(|name, _| name != "intervals" && name != "outliers");
        old_leg
            .as_object_mut()
            .expect("an object")
            .retain(|name, _| !["p90", "p95", "p99", "p999", "stddev"].contains(&name.as_str()));
        let read: Summary = serde_json::from_value(old).expect("reads");
        let read_leg: LegSummary = serde_json::from_value(old_leg).expect("reads");
        assert_eq!(read, Summary { intervals: Intervals::default(), outliers: Outliers::default(), ..summary });
        assert_eq!(read_leg, LegSummary { p90: None, p95: None, p99: None, p999: None, stddev: None, ..leg });
    }
}
