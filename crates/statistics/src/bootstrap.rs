//! Intervals of medians, quotients and their ratios for series measured in blocks. Consecutive samples are correlated,
//! and the machine drifts from block to block. Both make a median less certain than with as many independent samples,
//! so the bootstrap resamples both chunks and blocks.
//!
//! A replicate is drawn in two stages (Davison and Hinkley, *Bootstrap Methods and their Application*, 1997, section
//! 3.8): as many blocks as were measured, with replacement, and within each block moving chunks of neighbours (Künsch,
//! *The Jackknife and the Bootstrap for General Stationary Observations*, 1989) of about the cube root of its length.
//! The ends of an interval are percentiles of the replicates. With few blocks, resampling underestimates the variance
//! between blocks. Percentiles further out correct this: the expanded percentile interval of Hesterberg, *What Teachers
//! Should Know About the Bootstrap* (2015), section 4.2. With two or three blocks the interval is still too narrow if
//! drift is most of the noise, and a single block contains no information about drift.
//!
//! Every function takes a seed: the same samples, seed and version of `rand` give the same interval.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::block_bootstrap::Series;
use crate::percentile::{Interval, TAIL};

/// The number of replicates.
const REPLICATES: usize = 2_000;

/// The share of the replicates beyond each end of an interval, from two blocks on: Φ(−√(B ∕ (B − 1)) · t), with t the
/// 97.5 % quantile of Student's distribution with B − 1 degrees of freedom.
const TAILS: [f64; 19] = [
    1.695_219e-72,
    6.834_137e-8,
    1.190_307e-4,
    9.541_006e-4,
    2.431_803e-3,
    4.109_154e-3,
    5.737_521e-3,
    7.224_819e-3,
    8.550_639e-3,
    9.722_407e-3,
    1.075_661e-2,
    1.167_130e-2,
    1.248_326e-2,
    1.320_717e-2,
    1.385_557e-2,
    1.443_898e-2,
    1.496_627e-2,
    1.544_479e-2,
    1.588_083e-2,
];

/// A ratio of two series, a statistic of the first over that of the second, with a 95 % interval. All values are finite
/// and the ratio is above zero. For times or costs, a ratio below 1 means that the first is better.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ratio {
    /// Of the measured samples.
    pub ratio: f64,
    /// The interval.
    pub interval: Interval<f64>,
}

/// A 95 % interval of the median of a series, given as blocks in order of measurement. The median is
/// [`Percentile::P50`](crate::Percentile::P50) of all samples. Blocks may differ in length, and empty ones are skipped.
///
/// `None` for fewer than 6 samples, as for [`Percentile::interval`](crate::Percentile::interval).
#[must_use]
pub fn median_interval<B: AsRef<[u64]>>(blocks: &[B], seed: u64) -> Option<Interval<u64>> {
    let series = Series::from_blocks(blocks)?;
    let mut medians = series.replicate_medians(REPLICATES, &mut StdRng::seed_from_u64(seed));
    medians.sort_unstable();
    Some(middle(&medians, tail(series.blocks())))
}

/// The median of `a` over that of `b`, each in blocks as for [`median_interval`]. They are resampled independently of
/// each other, which is conservative if their blocks alternated and drifted together.
///
/// `None` if either has fewer than 6 samples, a median of zero, or a replicate with a median of zero.
#[must_use]
pub fn ratio_of_medians<A: AsRef<[u64]>, B: AsRef<[u64]>>(a: &[A], b: &[B], seed: u64) -> Option<Ratio> {
    let (a, b) = (Series::from_blocks(a)?, Series::from_blocks(b)?);
    // One generator for both: with the same seed each, equal series would give equal replicates, and their ratio would
    // not vary.
    let mut rng = StdRng::seed_from_u64(seed);
    let medians = [&a, &b].map(|series| series.replicate_medians(REPLICATES, &mut rng));
    let pairs = medians[0].iter().zip(&medians[1]);
    let replicates = pairs.map(|(&a, &b)| ratio(a as f64, b as f64)).collect::<Option<Vec<f64>>>()?;
    Some(Ratio::from_replicates(ratio(a.median as f64, b.median as f64)?, replicates, a.blocks().min(b.blocks())))
}

/// One block's part of a ratio of totals, such as its CPU time and its operations.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BlockTotal {
    /// The numerator.
    pub sum: f64,
    /// The denominator.
    pub over: f64,
}

/// The quotient of the totals of `a`, Σ `sum` ∕ Σ `over`, over that of `b`: time per message, or CPU time per
/// operation. Every message has the same weight, whichever block it is in, for the ratio and for its interval. Blocks
/// are resampled, and the totals computed again (the ratio estimator of Cochran, *Sampling Techniques*, 1977, section
/// 6.2). Within a block, nothing is resampled.
///
/// `None` if either has fewer than 2 blocks, or if a quotient, measured or resampled, is not finite or not above zero.
#[must_use]
pub fn ratio_of_totals(a: &[BlockTotal], b: &[BlockTotal], seed: u64) -> Option<Ratio> {
    let blocks = a.len().min(b.len());
    if blocks < 2 {
        return None;
    }
    let mut rng = StdRng::seed_from_u64(seed);
    let mut drawn = |all: &[BlockTotal]| ratio_of_sums(all.iter().map(|_| all[rng.random_range(0..all.len())]));
    let replicates = (0..REPLICATES).map(|_| ratio(drawn(a)?, drawn(b)?)).collect::<Option<Vec<f64>>>()?;
    let measured = |all: &[BlockTotal]| ratio_of_sums(all.iter().copied());
    Some(Ratio::from_replicates(ratio(measured(a)?, measured(b)?)?, replicates, blocks))
}

/// The quotient of the totals.
fn ratio_of_sums(all: impl Iterator<Item = BlockTotal>) -> Option<f64> {
    let BlockTotal { sum, over } = all.fold(BlockTotal { sum: 0.0, over: 0.0 }, |sum, block| BlockTotal {
        sum: sum.sum + block.sum,
        over: sum.over + block.over,
    });
    (over > 0.0).then(|| sum / over)
}

impl Ratio {
    fn from_replicates(ratio: f64, mut replicates: Vec<f64>, blocks: usize) -> Self {
        replicates.sort_unstable_by(f64::total_cmp);
        Self { ratio, interval: middle(&replicates, tail(blocks)) }
    }

    /// The largest factor, at least 1, by which the two series may differ in either direction.
    #[must_use]
    pub fn factor(&self) -> f64 {
        let Self { ratio, interval: Interval { low, high } } = *self;
        [ratio, low, high].into_iter().map(either_way).fold(1.0, f64::max)
    }
}

/// The ratio of two values above zero. `None` if it is not finite: JSON cannot represent infinity.
fn ratio(a: f64, b: f64) -> Option<f64> {
    (a > 0.0 && b > 0.0).then(|| a / b).filter(|ratio| ratio.is_finite() && *ratio > 0.0)
}

/// The ratio or its inverse, whichever is at least 1.
pub(crate) fn either_way(ratio: f64) -> f64 {
    ratio.max(1.0 / ratio)
}

/// The share of replicates to leave out on each side, by number of blocks.
fn tail(blocks: usize) -> f64 {
    match blocks {
        // Only chunks are resampled, and there are many of them.
        0 | 1 => TAIL,
        // Fits the exact values from 20 blocks on to the third digit.
        21.. => TAIL - 0.19 / blocks as f64,
        _ => TAILS[blocks - 2],
    }
}

/// The range of ascending replicates without the share `tail` on each side.
fn middle<T: Copy>(replicates: &[T], tail: f64) -> Interval<T> {
    let beyond = replicates
        .iter()
        .enumerate()
        .take_while(|(below, _)| (below + 1) as f64 <= tail * replicates.len() as f64)
        .count();
    Interval { low: replicates[beyond], high: replicates[replicates.len() - 1 - beyond] }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Integers without a pattern, from 1.
    fn scattered(n: u64, below: u64) -> Vec<u64> {
        (0..n).map(|index| (index * 7_919 + 13) % below + 1).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn interval_ends_are_samples(blocks in prop::collection::vec(prop::collection::vec(1_u64..50, 2..20), 3..6), seed in any::<u64>()) {
            let interval = median_interval(&blocks, seed).expect("six samples");
            let all: Vec<u64> = blocks.concat();
            prop_assert!(interval.low <= interval.high);
            prop_assert!(all.contains(&interval.low) && all.contains(&interval.high));
        }

        #[test]
        fn scaling_a_series_scales_its_ratio(blocks in prop::collection::vec(prop::collection::vec(1_u64..50, 6..20), 1..4), seed in any::<u64>()) {
            let thrice: Vec<Vec<u64>> = blocks.iter().map(|block| block.iter().map(|sample| 3 * sample).collect()).collect();
            let plain = ratio_of_medians(&blocks, &blocks, seed).expect("six samples");
            let scaled = ratio_of_medians(&thrice, &blocks, seed).expect("six samples");
            for (plain, scaled) in [(plain.ratio, scaled.ratio), (plain.interval.low, scaled.interval.low), (plain.interval.high, scaled.interval.high)] {
                prop_assert!((3.0 * plain - scaled).abs() < 1e-9, "{} {}", plain, scaled);
            }
        }
    }

    #[test]
    fn same_seed_gives_same_interval_and_others_a_close_one() {
        let blocks = [scattered(300, 1_000), scattered(200, 1_100)];
        let once = ratio_of_medians(&blocks, &blocks[..1], 5);
        assert_eq!(once, ratio_of_medians(&blocks, &blocks[..1], 5));
        let (once, other) = (once.expect("a ratio"), ratio_of_medians(&blocks, &blocks[..1], 6).expect("a ratio"));
        let (once, other) = (once.interval, other.interval);
        assert!((once.low - other.low).abs() < 0.1 && (once.high - other.high).abs() < 0.1, "{once:?} {other:?}");
    }

    #[test]
    fn ratio_of_equal_series_is_one_inside_its_interval() {
        let block = scattered(500, 1_000);
        let ratio = ratio_of_medians(&[&block], &[&block], 1).expect("a ratio");
        assert!((ratio.ratio - 1.0).abs() < f64::EPSILON);
        assert!(ratio.interval.low < 1.0 && ratio.interval.high > 1.0, "{ratio:?}");
    }

    #[test]
    fn drift_between_blocks_widens_the_interval() {
        let width = |blocks: &[Vec<u64>]| {
            let interval = median_interval(blocks, 1).expect("samples");
            interval.high - interval.low
        };
        let steady: Vec<Vec<u64>> = (0..8).map(|_| scattered(200, 100)).collect();
        let drifting: Vec<Vec<u64>> =
            (0..8).map(|block| scattered(200, 100).iter().map(|sample| sample + 100 * block).collect()).collect();
        assert!(width(&drifting) > 5 * width(&steady));
    }

    #[test]
    fn autocorrelation_widens_the_interval() {
        // The same 1,000 samples, once in any order and once in long runs of similar ones.
        let mut samples = scattered(1_000, 1_000);
        let mixed = median_interval(&[&samples], 1).expect("samples");
        samples.sort_unstable();
        let runs = median_interval(&[&samples], 1).expect("samples");
        assert!(runs.high - runs.low > 2 * (mixed.high - mixed.low), "{runs:?} {mixed:?}");
    }

    #[test]
    fn empty_blocks_are_skipped() {
        let block = scattered(100, 1_000);
        assert_eq!(median_interval(&[&block[..], &[]], 1), median_interval(&[&block], 1));
        assert_eq!(median_interval::<Vec<u64>>(&[], 1), None);
        assert_eq!(median_interval(&[&[] as &[u64], &[]], 1), None);
    }

    #[test]
    fn too_few_samples_have_no_interval() {
        assert_eq!(median_interval(&[[1, 2, 3, 4, 5]], 1), None);
        assert!(median_interval(&[[1, 2, 3], [4, 5, 6]], 1).is_some());
        assert_eq!(ratio_of_medians(&[[1, 2, 3, 4, 5]], &[scattered(100, 50)], 1), None);
    }

    #[test]
    fn zero_median_has_no_ratio_on_either_side() {
        let (zeros, block) = (vec![0; 100], scattered(100, 50));
        assert_eq!(ratio_of_medians(&[&block], &[&zeros], 1), None);
        assert_eq!(ratio_of_medians(&[&zeros], &[&block], 1), None);
        assert_eq!(ratio_of_medians(&[&zeros], &[&zeros], 1), None);
        assert_eq!(median_interval(&[zeros], 1), Some(Interval { low: 0, high: 0 }));
    }

    #[test]
    fn denominator_with_zero_replicates_has_no_ratio() {
        let mut often_zero = scattered(100, 50);
        often_zero[..49].fill(0);
        let block = scattered(100, 50);
        assert_eq!(ratio_of_medians(&[&block], &[&often_zero], 1), None);
    }

    /// Blocks with one operation each.
    fn single(sums: &[f64]) -> Vec<BlockTotal> {
        sums.iter().map(|&sum| BlockTotal { sum, over: 1.0 }).collect()
    }

    #[test]
    fn ratio_of_totals_needs_two_blocks_per_side() {
        let of = |a: &[f64], b: &[f64]| ratio_of_totals(&single(a), &single(b), 1);
        let ratio = of(&[3.0, 3.2], &[1.0, 1.1]).expect("two blocks each");
        assert!((ratio.ratio - 6.2 / 2.1).abs() < 1e-12);
        let Interval { low, high } = ratio.interval;
        assert!((low - 3.0 / 1.1).abs() < 1e-12 && (high - 3.2).abs() < 1e-12, "{ratio:?}");
        assert_eq!(of(&[3.0], &[1.0, 1.1]), None);
        assert_eq!(of(&[3.0, 3.2], &[]), None);
    }

    #[test]
    fn ratio_of_unequal_blocks_lies_inside_its_interval() {
        // Two slow blocks have very few messages. A mean of the blocks' quotients would depend mostly on them.
        let stuck = BlockTotal { sum: 1_000.0, over: 10.0 };
        let base: Vec<BlockTotal> =
            (0..8).map(|block| BlockTotal { sum: 1_000.0 + f64::from(block), over: 1_000.0 }).collect();
        let this: Vec<BlockTotal> =
            base.iter().map(|block| BlockTotal { over: block.over * 2.0, ..*block }).chain([stuck; 2]).collect();
        let ratio = ratio_of_totals(&this, &base, 1).expect("eight blocks");
        let totals = (8_028.0 + 2_000.0) / 16_020.0 / (8_028.0 / 8_000.0);
        assert!((ratio.ratio - totals).abs() < 1e-12, "{ratio:?}");
        let Interval { low, high } = ratio.interval;
        assert!(low < ratio.ratio && ratio.ratio < high && high < 2.0, "{ratio:?}");
    }

    #[test]
    fn invalid_totals_have_no_ratio() {
        let of = |a: &[f64], b: &[f64]| ratio_of_totals(&single(a), &single(b), 1);
        for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(of(&[1.0, 2.0], &[bad, bad]), None, "{bad}");
            assert_eq!(of(&[bad, bad], &[1.0, 2.0]), None, "{bad}");
        }
        assert_eq!(of(&[1.0, 2.0], &[1.0, f64::NAN]), None);
        assert_eq!(of(&[f64::MAX, f64::MAX], &[f64::MIN_POSITIVE; 2]), None);
        let nothing = [BlockTotal { sum: 1.0, over: 0.0 }; 2];
        assert_eq!(ratio_of_totals(&nothing, &single(&[1.0, 2.0]), 1), None);
    }

    #[test]
    fn fewer_blocks_have_smaller_tails() {
        let tails: Vec<f64> = (2..200).map(tail).collect();
        assert!(tails.is_sorted());
        assert!(tail(1_000_000) <= TAIL && tail(1_000) > 0.0245);
    }

    #[test]
    fn interval_excludes_a_tail_on_each_side() {
        let replicates: Vec<u32> = (1..=1_000).collect();
        assert_eq!(middle(&replicates, 0.025), Interval { low: 26, high: 975 });
        assert_eq!(middle(&replicates, 1e-9), Interval { low: 1, high: 1_000 });
    }
}
