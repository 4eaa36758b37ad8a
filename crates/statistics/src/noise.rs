//! Noise floor of a series, and the outcome of a comparison.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::bootstrap::{BlockTotal, Ratio, either_way, ratio_of_medians, ratio_of_totals};
use crate::percentile::Interval;

/// The noise floor of a series: an A/A comparison of its halves by [`ratio_of_medians`], as the largest factor by which
/// they may differ. Halves are blocks in ABBA order, as rounds interleave two modes, so a steady drift affects both
/// alike. Empty blocks are skipped.
///
/// `None` for fewer than 2 blocks, and if the halves have no ratio with an interval.
#[must_use]
pub fn noise_floor<B: AsRef<[u64]>>(blocks: &[B], seed: u64) -> Option<f64> {
    ratio_of_halves(blocks, seed).map(|ratio| ratio.factor())
}

fn ratio_of_halves<B: AsRef<[u64]>>(blocks: &[B], seed: u64) -> Option<Ratio> {
    let (a, b) = halves(blocks.iter().map(AsRef::as_ref).filter(|block| !block.is_empty()));
    ratio_of_medians(&a, &b, seed)
}

/// The same for a ratio of totals, such as time per message. `None` for fewer than 4 blocks: each half is resampled.
#[must_use]
pub fn noise_floor_of_totals(blocks: &[BlockTotal], seed: u64) -> Option<f64> {
    let (a, b) = halves(blocks.iter().copied());
    ratio_of_totals(&a, &b, seed).map(|ratio| ratio.factor())
}

/// Splits blocks as ABBA rounds interleave two modes: 0, 3, 4, 7, … and 1, 2, 5, 6, ….
#[must_use]
pub fn halves<T>(blocks: impl Iterator<Item = T>) -> (Vec<T>, Vec<T>) {
    let (mut a, mut b) = (Vec::new(), Vec::new());
    for (index, block) in blocks.enumerate() {
        if matches!(index % 4, 0 | 3) { a.push(block) } else { b.push(block) }
    }
    (a, b)
}

/// The outcome of a comparison of times or costs, for the first of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "Word"))]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// The whole interval lies below the noise.
    Faster,
    /// The whole interval lies above the noise.
    Slower,
    /// The interval contains a ratio that noise explains. There may still be a difference.
    #[serde(rename = "no_difference_seen")]
    NotSignificant,
    /// There is no interval, or the noise floor is unknown.
    #[default]
    #[serde(rename = "unknown")]
    Inconclusive,
}

impl Change {
    /// By the interval of a ratio. Reports a difference only if it excludes 1 and the noise floor, from 1 ∕ `floor` to
    /// `floor` (see [`noise_floor`]). With an unknown floor the outcome is inconclusive: the interval of a few samples
    /// contains 1 whether or not there is a difference.
    #[must_use]
    pub fn from_interval(interval: Option<Interval<f64>>, floor: Option<f64>) -> Self {
        let Some(Interval { low, high }) = interval else {
            return Self::Inconclusive;
        };
        let Some(floor) = floor.map(either_way).filter(|floor| floor.is_finite()) else {
            return Self::Inconclusive;
        };
        if low <= 1.0 && high >= 1.0 {
            Self::NotSignificant
        } else if high < 1.0 / floor {
            Self::Faster
        } else if low > floor {
            Self::Slower
        } else {
            Self::NotSignificant
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Faster => "faster",
            Self::Slower => "slower",
            Self::NotSignificant => "not significant",
            Self::Inconclusive => "inconclusive",
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn between(low: f64, high: f64) -> Interval<f64> {
        Interval { low, high }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn inverted_interval_gives_the_opposite_change(
            low in 0.1_f64..2.0, width in 1.0_f64..2.0, floor in 1.0_f64..1.5,
        ) {
            let there = Change::from_interval(Some(between(low, low * width)), Some(floor));
            let back = Change::from_interval(Some(between(1.0 / (low * width), 1.0 / low)), Some(floor));
            let opposite = match there {
                Change::Faster => Change::Slower,
                Change::Slower => Change::Faster,
                same => same,
            };
            prop_assert_eq!(back, opposite);
        }

        #[test]
        fn noise_floor_covers_the_interval_and_is_at_least_one(
            blocks in prop::collection::vec(prop::collection::vec(1_u64..1_000, 6..20), 2..6), seed in any::<u64>(),
        ) {
            let Ratio { ratio, interval } = ratio_of_halves(&blocks, seed).expect("two blocks of six");
            let floor = noise_floor(&blocks, seed).expect("two blocks of six");
            prop_assert!(floor.is_finite() && floor >= 1.0);
            prop_assert!(interval.high <= floor && interval.low >= 1.0 / floor * (1.0 - 1e-12));
            prop_assert!(ratio <= floor && ratio >= 1.0 / floor * (1.0 - 1e-12));
        }
    }

    #[test]
    fn only_intervals_outside_the_noise_floor_are_significant() {
        let word = |low, high| Change::from_interval(Some(between(low, high)), Some(1.25));
        assert_eq!(word(0.5, 0.79), Change::Faster);
        assert_eq!(word(0.5, 0.8), Change::NotSignificant);
        assert_eq!(word(0.9, 1.1), Change::NotSignificant);
        assert_eq!(word(1.25, 2.0), Change::NotSignificant);
        assert_eq!(word(1.26, 2.0), Change::Slower);
        assert_eq!(word(0.1, 10.0), Change::NotSignificant);
    }

    #[test]
    fn interval_that_touches_one_is_not_significant() {
        assert_eq!(Change::from_interval(Some(between(1.0, 1.5)), Some(1.0)), Change::NotSignificant);
        assert_eq!(Change::from_interval(Some(between(0.5, 1.0)), Some(1.0)), Change::NotSignificant);
    }

    #[test]
    fn missing_interval_or_noise_floor_is_inconclusive() {
        assert_eq!(Change::from_interval(None, Some(1.1)), Change::Inconclusive);
        assert_eq!(Change::from_interval(Some(between(2.0, 3.0)), None), Change::Inconclusive);
        assert_eq!(Change::from_interval(Some(between(2.0, 3.0)), Some(f64::NAN)), Change::Inconclusive);
        assert_eq!(Change::from_interval(Some(between(2.0, 3.0)), Some(0.0)), Change::Inconclusive);
        assert_eq!(
            Change::from_interval(Some(between(0.9, 1.1)), None),
            Change::Inconclusive,
            "an interval that holds 1 proves nothing"
        );
    }

    #[test]
    fn changes_have_names_in_json_and_in_text() {
        let words = [Change::Faster, Change::Slower, Change::NotSignificant, Change::Inconclusive];
        let json = serde_json::to_string(&words).expect("JSON");
        assert_eq!(json, r#"["faster","slower","no_difference_seen","unknown"]"#);
        let text: Vec<String> = words.iter().map(Change::to_string).collect();
        assert_eq!(text, ["faster", "slower", "not significant", "inconclusive"]);
        assert_eq!(format!("{:>8}", Change::Faster), "  faster");
    }

    #[test]
    fn abba_halves_reduce_the_effect_of_steady_drift() {
        let drifting: Vec<Vec<u64>> = (0..8).map(|block| vec![1_000 + 100 * block; 10]).collect();
        let noise = ratio_of_halves(&drifting, 1).expect("eight blocks");
        // Blocks 0 3 4 7 against 1 2 5 6: by nearest rank, medians 1,300 and 1,200. Halves in order would give 1,100
        // and 1,500.
        assert!((noise.ratio - 1_300.0 / 1_200.0).abs() < 1e-12, "{noise:?}");
    }

    #[test]
    fn single_block_or_zeros_have_no_noise_floor() {
        assert_eq!(noise_floor(&[vec![5_u64; 100]], 1), None);
        assert_eq!(noise_floor(&[vec![5_u64; 100], vec![]], 1), None);
        assert_eq!(noise_floor(&[vec![0_u64; 100], vec![0; 100]], 1), None);
        assert_eq!(noise_floor::<Vec<u64>>(&[], 1), None);
    }

    #[test]
    fn noise_floor_of_totals_needs_four_blocks() {
        let of = |sums: &[f64]| {
            let blocks: Vec<BlockTotal> = sums.iter().map(|&sum| BlockTotal { sum, over: 1.0 }).collect();
            noise_floor_of_totals(&blocks, 1)
        };
        assert_eq!(of(&[10.0, 11.0, 12.0]), None);
        assert_eq!(of(&[]), None);
        let floor = of(&[10.0, 20.0, 22.0, 12.0]).expect("two in each half");
        // Blocks 0 and 3 against 1 and 2. With two blocks, the interval spans all possible replicates.
        assert!((floor - 2.2).abs() < 1e-12, "22 over 10: {floor}");
        let (a, b) = halves([10.0, 20.0, 22.0, 12.0].map(|sum| BlockTotal { sum, over: 1.0 }).into_iter());
        let ratio = ratio_of_totals(&a, &b, 1).expect("two in each half").ratio;
        assert!((ratio - 11.0 / 21.0).abs() < 1e-12, "22 over 42: {ratio}");
    }

    #[test]
    fn constant_series_has_a_noise_floor_of_one() {
        let floor = noise_floor(&[vec![7_u64; 50], vec![7; 50]], 1).expect("two blocks");
        assert!((floor - 1.0).abs() < f64::EPSILON);
    }
}
