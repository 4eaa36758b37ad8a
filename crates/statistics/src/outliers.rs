//! Outliers. They are counted and not removed: a rare slow operation is a finding, not a fault of the measurement.

use serde::{Deserialize, Serialize};

use crate::percentile::Percentile;

/// Samples beyond Tukey's fences (*Exploratory Data Analysis*, 1977, chapter 2), by side and by distance from the
/// nearer quartile: *mild* beyond 1.5 and *severe* beyond 3 interquartile ranges. Quartiles are taken by nearest rank.
///
/// Latencies have a long right tail, so some high outliers are normal: of lognormal samples, several percent. If half
/// of the samples are equal, the fences coincide with them, and every other sample is severe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Outliers {
    /// More than 3 interquartile ranges below the lower quartile.
    pub low_severe: u64,
    /// More than 1.5 and up to 3 below.
    pub low_mild: u64,
    /// More than 1.5 and up to 3 interquartile ranges above the upper quartile.
    pub high_mild: u64,
    /// More than 3 above.
    pub high_severe: u64,
}

impl Outliers {
    /// Counts the outliers of ascending samples.
    #[must_use]
    pub fn from_sorted(sorted: &[u64]) -> Self {
        let quartiles = Percentile::P25.of(sorted).zip(Percentile::P75.of(sorted));
        let Some((lower, upper)) = quartiles else {
            return Self::default();
        };
        let range = u128::from(upper - lower);
        // Twice the distance against 3 and 6 interquartile ranges: integers avoid rounding at the fence.
        let below =
            |ranges: u128| sorted.partition_point(|&x| 2 * u128::from(lower.saturating_sub(x)) > ranges * range);
        let above = |ranges: u128| {
            sorted.len() - sorted.partition_point(|&x| 2 * u128::from(x.saturating_sub(upper)) <= ranges * range)
        };
        Self {
            low_severe: below(6) as u64,
            low_mild: (below(3) - below(6)) as u64,
            high_mild: (above(3) - above(6)) as u64,
            high_severe: above(6) as u64,
        }
    }

    /// The number of all outliers.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.low_severe + self.low_mild + self.high_mild + self.high_severe
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn at_most_half_of_the_samples_are_outliers(mut samples in prop::collection::vec(any::<u64>(), 0..300)) {
            samples.sort_unstable();
            let outliers = Outliers::from_sorted(&samples);
            prop_assert!(outliers.total() <= samples.len() as u64 / 2);
        }
    }

    #[test]
    fn samples_on_a_fence_are_inside() {
        // Quartiles 100 and 200: fences at 0 − 50 … 350 and 500.
        let with = |far: u64| {
            let mut samples = vec![100, 100, 100, 150, 200, 200, far];
            samples.sort_unstable();
            Outliers::from_sorted(&samples)
        };
        assert_eq!(with(350), Outliers::default());
        assert_eq!(with(351), Outliers { high_mild: 1, ..Outliers::default() });
        assert_eq!(with(500), Outliers { high_mild: 1, ..Outliers::default() });
        assert_eq!(with(501), Outliers { high_severe: 1, ..Outliers::default() });
    }

    #[test]
    fn low_and_high_outliers_are_counted_separately() {
        let mut samples: Vec<u64> = (1_000..1_100).collect();
        samples.extend([0, 1, 910, 1_200, 5_000, u64::MAX]);
        samples.sort_unstable();
        let outliers = Outliers::from_sorted(&samples);
        assert_eq!(outliers, Outliers { low_severe: 2, low_mild: 1, high_mild: 1, high_severe: 2 });
        assert_eq!(outliers.total(), 6);
    }

    #[test]
    fn equal_samples_have_no_outliers() {
        assert_eq!(Outliers::from_sorted(&[7; 50]).total(), 0);
        assert_eq!(Outliers::from_sorted(&[]).total(), 0);
    }
}
