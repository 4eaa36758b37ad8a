//! Percentiles by nearest rank: each is a sample, and given only with enough samples beyond it. The ends of their
//! intervals are samples too.

use serde::{Deserialize, Serialize};

/// Probability outside an interval on each side: 95 % inside.
pub(crate) const TAIL: f64 = 0.025;

/// Weights below this share of the largest one do not change the sum.
const NEGLIGIBLE: f64 = 1e-22;

/// A percentile in hundredths of a percent, and the minimum number of samples from which it is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Percentile {
    basis_points: u32,
    from: usize,
}

/// A 95 % interval; both ends belong to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Interval<T> {
    /// The lower end.
    pub low: T,
    /// The upper end.
    pub high: T,
}

impl Percentile {
    /// The lower quartile, for the fences of [`Outliers`](crate::Outliers).
    pub(crate) const P25: Self = Self { basis_points: 2_500, from: 1 };
    /// The upper quartile.
    pub(crate) const P75: Self = Self { basis_points: 7_500, from: 1 };
    /// The median, from the first sample on.
    pub const P50: Self = Self { basis_points: 5_000, from: 1 };
    /// From 10 samples on.
    pub const P90: Self = Self { basis_points: 9_000, from: 10 };
    /// From 20 samples on.
    pub const P95: Self = Self { basis_points: 9_500, from: 20 };
    /// From 1,000 samples on.
    pub const P99: Self = Self { basis_points: 9_900, from: 1_000 };
    /// 99.9 %, from 10,000 samples on.
    pub const P999: Self = Self { basis_points: 9_990, from: 10_000 };
    /// 99.99 %, from 100,000 samples on.
    pub const P9999: Self = Self { basis_points: 9_999, from: 100_000 };

    /// Any other percentile, for curves: given from the first sample on.
    #[must_use]
    pub const fn at(basis_points: u32) -> Self {
        Self { basis_points, from: 1 }
    }

    /// The minimum number of samples from which it is given.
    #[must_use]
    pub fn min_samples(self) -> usize {
        self.from
    }

    /// The smallest sample that at least this share of the samples does not exceed: the nearest-rank percentile,
    /// definition 1 of Hyndman and Fan, *Sample Quantiles in Statistical Packages* (1996). `sorted` ascends. `None`
    /// from fewer than [`min_samples`](Self::min_samples).
    #[must_use]
    pub fn of<T: Copy>(self, sorted: &[T]) -> Option<T> {
        if sorted.len() < self.from {
            return None;
        }
        // Integer arithmetic: 0.9999 is not exact in binary, and a rank that is off by one gives another sample.
        let rank = (sorted.len() as u128 * u128::from(self.basis_points)).div_ceil(10_000);
        let position = usize::try_from(rank.max(1) - 1).ok()?;
        sorted.get(position).copied()
    }

    /// A 95 % interval of the percentile of the distribution that the samples come from, whatever its shape. The ends
    /// are two order statistics, whose ranks come from the exact binomial distribution (Conover, *Practical
    /// Nonparametric Statistics*, 3rd edition, section 3.2). They are the innermost ranks beyond which the percentile
    /// lies with a probability of at most 2.5 % on either side. `sorted` ascends.
    ///
    /// `None` for fewer than [`min_samples`](Self::min_samples), and if even the most extreme sample on one side
    /// does not bound the percentile with a probability of 97.5 %: the median needs 6 samples, p90 needs 36 and p95
    /// needs 72.
    ///
    /// It assumes independent samples. For correlated neighbours it is too narrow: use
    /// [`median_interval`](crate::median_interval).
    #[must_use]
    pub fn interval<T: Copy>(self, sorted: &[T]) -> Option<Interval<T>> {
        if sorted.len() < self.from {
            return None;
        }
        let (low, high) = interval_ranks(sorted.len(), self.basis_points)?;
        Some(Interval { low: *sorted.get(low - 1)?, high: *sorted.get(high - 1)? })
    }
}

/// The median of values in any order; the upper one of an even number.
pub fn median<T: Ord>(values: impl Iterator<Item = T>) -> Option<T> {
    let mut values: Vec<T> = values.collect();
    values.sort_unstable();
    let middle = values.len() / 2;
    values.into_iter().nth(middle)
}

/// The ranks, from 1, between which a percentile lies: the largest `low` with P(B < low) ≤ [`TAIL`] and the smallest
/// `high` with P(B ≥ high) ≤ [`TAIL`], where B, the number of samples below the percentile, is binomial.
fn interval_ranks(n: usize, basis_points: u32) -> Option<(usize, usize)> {
    let (first, weights) = binomial_weights(n, basis_points);
    let tail = TAIL * weights.iter().sum::<f64>();
    let low = first + within(weights.iter(), tail);
    let high = first + weights.len() - within(weights.iter().rev(), tail);
    (low >= 1 && high <= n).then_some((low, high))
}

/// The number of weights, from the outermost inwards, whose sum does not exceed `tail`.
fn within<'a>(weights: impl Iterator<Item = &'a f64>, tail: f64) -> usize {
    let sums = weights.scan(0.0, |sum, weight| {
        *sum += weight;
        Some(*sum)
    });
    sums.take_while(|&sum| sum <= tail).count()
}

/// The binomial probabilities of `n` trials with a success probability of `basis_points`, relative to the largest one,
/// and the count of the first of them. They are computed outwards from the mode by the ratio of neighbours, which
/// avoids factorials and loss of precision. Negligible ones are left out, so about ten standard deviations remain on
/// either side.
fn binomial_weights(n: usize, basis_points: u32) -> (usize, Vec<f64>) {
    let odds = f64::from(basis_points) / f64::from(10_000 - basis_points);
    let mode = (n as u128 + 1) * u128::from(basis_points) / 10_000;
    let mode = usize::try_from(mode).unwrap_or(n).min(n);
    let mut weights = Vec::new();
    let mut weight = 1.0;
    let mut first = mode;
    while first > 0 {
        weight *= first as f64 / ((n - first + 1) as f64 * odds);
        if weight < NEGLIGIBLE {
            break;
        }
        weights.push(weight);
        first -= 1;
    }
    weights.reverse();
    weights.push(1.0);
    weight = 1.0;
    for count in mode..n {
        weight *= (n - count) as f64 * odds / (count + 1) as f64;
        if weight < NEGLIGIBLE {
            break;
        }
        weights.push(weight);
    }
    (first, weights)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALL: [Percentile; 6] =
        [Percentile::P50, Percentile::P90, Percentile::P95, Percentile::P99, Percentile::P999, Percentile::P9999];

    /// The definition, by counting: the smallest sample that at least the given share of all samples does not exceed.
    fn naive(samples: &[u64], basis_points: u32) -> Option<u64> {
        samples
            .iter()
            .copied()
            .filter(|&value| {
                let covered = samples.iter().filter(|&&sample| sample <= value).count() as u64;
                covered * 10_000 >= u64::from(basis_points) * samples.len() as u64
            })
            .min()
    }

    /// P(B < `count`) for `n` trials, from Pascal's triangle: slow, but independent of the code above.
    fn below(count: usize, n: usize, p: f64) -> f64 {
        let mut probabilities = vec![1.0];
        for _ in 0..n {
            let mut next = vec![0.0; probabilities.len() + 1];
            for (successes, probability) in probabilities.iter().enumerate() {
                next[successes] += probability * (1.0 - p);
                next[successes + 1] += probability * p;
            }
            probabilities = next;
        }
        probabilities[..count].iter().sum()
    }

    proptest! {
        #[test]
        fn percentiles_agree_with_counting(samples in prop::collection::vec(0_u64..500, 1..200)) {
            let mut sorted = samples.clone();
            sorted.sort_unstable();
            for percentile in ALL {
                let always = Percentile { from: 1, ..percentile };
                prop_assert_eq!(always.of(&sorted), naive(&samples, percentile.basis_points));
            }
        }

        #[test]
        fn interval_ranks_are_the_innermost_with_coverage(n in 1_usize..400, basis_points in 1_u32..10_000) {
            let p = f64::from(basis_points) / 10_000.0;
            if let Some((low, high)) = interval_ranks(n, basis_points) {
                let (left, right) = (below(low, n, p), 1.0 - below(high, n, p));
                // 1 − x loses the last digits, hence the tolerance.
                prop_assert!(left <= TAIL + 1e-12 && right <= TAIL + 1e-12, "{} {}", left, right);
                prop_assert!(below(low + 1, n, p) > TAIL - 1e-12);
                prop_assert!(1.0 - below(high - 1, n, p) > TAIL - 1e-12);
            } else {
                let reach = below(1, n, p).max(1.0 - below(n, n, p));
                prop_assert!(reach > TAIL - 1e-12, "{}", reach);
            }
        }

        #[test]
        fn interval_contains_its_percentile(samples in prop::collection::vec(any::<i64>(), 1..2_000)) {
            let mut sorted = samples;
            sorted.sort_unstable();
            for percentile in ALL {
                if let Some(interval) = percentile.interval(&sorted) {
                    let value = percentile.of(&sorted).expect("an interval comes with its percentile");
                    prop_assert!((interval.low..=interval.high).contains(&value));
                }
            }
        }
    }

    #[test]
    fn percentile_needs_its_minimum_of_samples() {
        for percentile in ALL {
            let enough: Vec<usize> = (1..=percentile.min_samples()).collect();
            assert!(percentile.of(&enough).is_some(), "{percentile:?}");
            assert_eq!(percentile.of(&enough[1..]), None, "{percentile:?}");
            assert_eq!(percentile.interval(&enough[1..]), None, "{percentile:?}");
        }
    }

    #[test]
    fn interval_needs_its_minimum_of_samples() {
        for (percentile, from) in [
            (Percentile::P50, 6),
            (Percentile::P90, 36),
            (Percentile::P95, 72),
            (Percentile::P99, 1_000),
            (Percentile::P999, 10_000),
            (Percentile::P9999, 100_000),
        ] {
            let enough: Vec<usize> = (1..=from).collect();
            assert!(percentile.interval(&enough).is_some(), "{percentile:?}");
            assert_eq!(percentile.interval(&enough[1..]), None, "{percentile:?}");
        }
    }

    #[test]
    fn interval_of_the_median_of_ten_is_second_to_ninth() {
        let ten: Vec<u64> = (1..=10).collect();
        assert_eq!(Percentile::P50.interval(&ten), Some(Interval { low: 2, high: 9 }));
    }

    #[test]
    fn ranks_of_large_series_match_normal_approximation() {
        let n = 10_000_000;
        let (low, high) = interval_ranks(n, 5_000).expect("enough samples");
        let half_width = 1.959_964 * (n as f64 * 0.25).sqrt();
        assert!((low as f64 - (n as f64 / 2.0 - half_width)).abs() < 2.0, "{low}");
        assert!((high as f64 - (n as f64 / 2.0 + half_width)).abs() < 2.0, "{high}");
    }
}
