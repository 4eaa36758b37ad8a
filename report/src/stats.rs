//! Figures over raw samples. Percentiles are taken by nearest rank, so each one is a sample that was seen, and only
//! where there are enough samples that more than a handful lie beyond it.

use serde::{Deserialize, Serialize};

/// A percentile in hundredths of a percent, and the least number of samples from which it is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Percentile {
    basis_points: u64,
    from: usize,
}

const P50: Percentile = Percentile { basis_points: 5_000, from: 1 };
const P90: Percentile = Percentile { basis_points: 9_000, from: 10 };
const P95: Percentile = Percentile { basis_points: 9_500, from: 20 };
const P99: Percentile = Percentile { basis_points: 9_900, from: 1_000 };
const P999: Percentile = Percentile { basis_points: 9_990, from: 10_000 };
const P9999: Percentile = Percentile { basis_points: 9_999, from: 100_000 };

impl Percentile {
    /// The smallest sample that at least this share of the samples does not exceed.
    fn of<T: Copy>(self, sorted: &[T]) -> Option<T> {
        if sorted.len() < self.from {
            return None;
        }
        // In integers: 0.9999 is no binary fraction, and a rank that is off by one would be another sample.
        let rank = (sorted.len() as u128 * u128::from(self.basis_points)).div_ceil(10_000);
        let position = usize::try_from(rank.max(1) - 1).ok()?;
        sorted.get(position).copied()
    }
}

/// Latency of one cell in nanoseconds. A percentile is `None` unless there are enough samples: p50 from 1, p90 from 10,
/// p95 from 20, p99 from 1,000, p99.9 from 10,000, p99.99 from 100,000.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
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
}

impl Summary {
    /// Summarises samples in any order; `None` if there are none.
    #[must_use]
    pub fn of(mut samples: Vec<u64>) -> Option<Self> {
        samples.sort_unstable();
        let (&min, &max) = (samples.first()?, samples.last()?);
        let mean = mean(samples.iter().map(|&sample| sample as f64));
        Some(Self {
            n: samples.len(),
            min,
            p50: P50.of(&samples),
            p90: P90.of(&samples),
            p95: P95.of(&samples),
            p99: P99.of(&samples),
            p999: P999.of(&samples),
            p9999: P9999.of(&samples),
            max,
            mean,
            stddev: stddev(&samples, mean),
        })
    }
}

/// One leg of an operation in nanoseconds. Signed, because a one-way leg may be negative by the clocks' bound.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct LegSummary {
    /// Operations that have this leg.
    pub n: usize,
    /// The least.
    pub min: i64,
    /// The median.
    pub p50: i64,
    /// The arithmetic mean.
    pub mean: f64,
    /// The worst of `n`.
    pub max: i64,
}

impl LegSummary {
    /// Summarises samples in any order; `None` if there are none.
    #[must_use]
    pub fn of(mut samples: Vec<i64>) -> Option<Self> {
        samples.sort_unstable();
        Some(Self {
            n: samples.len(),
            min: *samples.first()?,
            p50: P50.of(&samples)?,
            mean: mean(samples.iter().map(|&sample| sample as f64)),
            max: *samples.last()?,
        })
    }
}

/// The mean of at least one value.
fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let n = values.len() as f64;
    values.sum::<f64>() / n
}

fn stddev(samples: &[u64], mean: f64) -> Option<f64> {
    // Around the mean in a second pass: the sum of squares of nanoseconds would eat the digits of the difference.
    let squares: f64 = samples.iter().map(|&sample| (sample as f64 - mean).powi(2)).sum();
    (samples.len() > 1).then(|| (squares / (samples.len() - 1) as f64).sqrt())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definition, by counting: the smallest sample that at least this share of all does not exceed.
    fn naive(samples: &[u64], basis_points: u64) -> Option<u64> {
        samples
            .iter()
            .copied()
            .filter(|&value| {
                let covered = samples.iter().filter(|&&sample| sample <= value).count() as u64;
                covered * 10_000 >= basis_points * samples.len() as u64
            })
            .min()
    }

    proptest! {
        #[test]
        fn percentiles_agree_with_counting(samples in prop::collection::vec(0_u64..500, 1..200)) {
            let mut sorted = samples.clone();
            sorted.sort_unstable();
            for percentile in [P50, P90, P95, P99, P999, P9999] {
                let always = Percentile { from: 1, ..percentile };
                prop_assert_eq!(always.of(&sorted), naive(&samples, percentile.basis_points));
            }
        }

        #[test]
        fn figures_stand_in_order(samples in prop::collection::vec(any::<u32>(), 1..2_000)) {
            let samples: Vec<u64> = samples.into_iter().map(u64::from).collect();
            let n = samples.len();
            let summary = Summary::of(samples).expect("there are samples");
            let given: Vec<u64> = [Some(summary.min), summary.p50, summary.p90, summary.p95, summary.p99, Some(summary.max)]
                .into_iter()
                .flatten()
                .collect();
            prop_assert!(given.is_sorted());
            prop_assert!(summary.mean >= summary.min as f64 && summary.mean <= summary.max as f64);
            prop_assert_eq!(summary.n, n);
        }

        #[test]
        fn the_order_of_samples_does_not_matter(mut samples in prop::collection::vec(0_u64..1_000_000, 1..100)) {
            let forwards = Summary::of(samples.clone());
            samples.reverse();
            prop_assert_eq!(forwards, Summary::of(samples));
        }
    }

    #[test]
    fn no_samples_have_no_summary() {
        assert_eq!(Summary::of(Vec::new()), None);
        assert_eq!(LegSummary::of(Vec::new()), None);
    }

    #[test]
    fn one_sample_is_its_own_median_and_has_no_deviation() {
        let summary = Summary::of(vec![42]).expect("one sample");
        assert_eq!((summary.min, summary.p50, summary.max), (42, Some(42), 42));
        assert_eq!((summary.p90, summary.stddev), (None, None));
    }

    #[test]
    fn a_percentile_waits_for_enough_samples() {
        for percentile in [P50, P90, P95, P99, P999, P9999] {
            let enough: Vec<u64> = (1..=percentile.from as u64).collect();
            assert!(percentile.of(&enough).is_some(), "{percentile:?}");
            assert_eq!(percentile.of(&enough[1..]), None, "{percentile:?}");
        }
    }

    #[test]
    fn nearest_rank_takes_the_textbook_sample() {
        let hundred: Vec<u64> = (1..=100).collect();
        let summary = Summary::of(hundred).expect("samples");
        assert_eq!((summary.p50, summary.p90, summary.p95), (Some(50), Some(90), Some(95)));
    }

    #[test]
    fn the_deviation_is_that_of_the_sample() {
        let summary = Summary::of(vec![2, 4, 4, 4, 5, 5, 7, 9]).expect("samples");
        let deviation = summary.stddev.expect("more than one");
        assert!((deviation - (32.0_f64 / 7.0).sqrt()).abs() < 1e-12, "{deviation}");
    }

    #[test]
    fn a_leg_may_be_negative() {
        let leg = LegSummary::of(vec![5, -3, 1]).expect("samples");
        assert_eq!((leg.min, leg.p50, leg.max, leg.n), (-3, 1, 5, 3));
    }
}
