//! Ratio of the 99th percentiles of two series, with an interval from order statistics. The block bootstrap serves only
//! medians: a few blocks contain too few tail samples to resample.

use serde::Serialize;

use statistics::{Change, Interval, Percentile, Ratio, halves};

/// The ratio of the 99th percentiles.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct P99Ratio {
    /// This run's over the baseline's.
    pub ratio: f64,
    /// Its interval, from both percentiles' 95 % intervals by order statistics.
    pub interval: Interval<f64>,
    /// The larger noise floor of both runs.
    pub noise_floor: Option<f64>,
    /// The outcome for this run.
    pub word: Change,
}

/// `None` if either series has too few samples for a 99th percentile.
pub(super) fn p99_ratio(this: &[Vec<u64>], base: &[Vec<u64>]) -> Option<P99Ratio> {
    let Ratio { ratio, interval } = ratio(this.concat(), base.concat())?;
    let noise_floor = [this, base].into_iter().filter_map(floor).reduce(f64::max);
    Some(P99Ratio { ratio, interval, noise_floor, word: Change::from_interval(Some(interval), noise_floor) })
}

/// The outermost ratios that both intervals allow: wider than 95 %, because each end combines the worst ends of both.
/// Order statistics ignore that samples of a run are correlated.
fn ratio(mut this: Vec<u64>, mut base: Vec<u64>) -> Option<Ratio> {
    let tail = |samples: &mut Vec<u64>| {
        samples.sort_unstable();
        Some((Percentile::P99.of(samples)?, Percentile::P99.interval(samples)?))
    };
    let ((this, this_ends), (base, base_ends)) = (tail(&mut this)?, tail(&mut base)?);
    let over = |a: u64, b: u64| (a > 0 && b > 0).then(|| a as f64 / b as f64);
    let interval = Interval { low: over(this_ends.low, base_ends.high)?, high: over(this_ends.high, base_ends.low)? };
    Some(Ratio { ratio: over(this, base)?, interval })
}

/// The noise floor of the tail: ratio of the 99th percentiles of both halves.
fn floor(series: &[Vec<u64>]) -> Option<f64> {
    let (a, b) = halves(series.iter().filter(|block| !block.is_empty()));
    let all = |half: Vec<&Vec<u64>>| half.into_iter().flatten().copied().collect();
    ratio(all(a), all(b)).map(|ratio| ratio.factor())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Integers without a pattern, from 1.
    fn blocks(count: u64, each: u64, scale: u64) -> Vec<Vec<u64>> {
        let sample = |index: u64| ((index * 7_919 + 13) % 1_000 + 1) * scale;
        (0..count).map(|block| (0..each).map(|index| sample(block * each + index)).collect()).collect()
    }

    #[test]
    fn equal_tails_are_not_significantly_different() {
        let series = blocks(4, 1_000, 1);
        let same = p99_ratio(&series, &series).expect("enough samples");
        assert!((same.ratio - 1.0).abs() < f64::EPSILON);
        assert!(same.interval.low <= 1.0 && same.interval.high >= 1.0);
        assert_eq!(same.word, Change::NotSignificant);
    }

    #[test]
    fn doubled_and_halved_tails_are_significant() {
        let (once, twice) = (blocks(4, 1_000, 1), blocks(4, 1_000, 2));
        let slower = p99_ratio(&twice, &once).expect("enough samples");
        assert!((slower.ratio - 2.0).abs() < 1e-9);
        assert_eq!(slower.word, Change::Slower);
        assert_eq!(p99_ratio(&once, &twice).expect("enough samples").word, Change::Faster);
    }

    #[test]
    fn single_block_has_no_noise_floor_and_is_inconclusive() {
        let (once, twice) = (blocks(1, 2_000, 1), blocks(1, 2_000, 2));
        let unknown = p99_ratio(&twice, &once).expect("enough samples");
        assert_eq!((unknown.noise_floor, unknown.word), (None, Change::Inconclusive));
    }

    #[test]
    fn too_few_samples_have_no_p99_ratio() {
        assert_eq!(p99_ratio(&blocks(1, 999, 1), &blocks(4, 1_000, 1)), None);
        assert_eq!(p99_ratio(&blocks(2, 1_000, 0), &blocks(2, 1_000, 1)), None, "zeros have no ratio");
    }
}
