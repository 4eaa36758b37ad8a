//! Distributes samples among histogram bins.

use super::scale::position;

/// With fewer samples, gaps between neighbours do not reveal the clock's resolution.
const MIN_SAMPLES: usize = 100;

/// Estimates the clock's resolution: the median gap between distinct samples. 0 if there are too few samples.
pub(crate) fn clock_step(sorted: &[u64]) -> f64 {
    if sorted.len() < MIN_SAMPLES {
        return 0.0;
    }
    let body = sorted.get(..sorted.len() * 9 / 10).unwrap_or_default();
    let mut gaps: Vec<u64> = body.windows(2).map(|pair| pair[1] - pair[0]).filter(|gap| *gap > 0).collect();
    gaps.sort_unstable();
    let Some(gap) = gaps.get(gaps.len() / 2).map(|gap| *gap as f64) else { return 0.0 };
    // A gap above an eighth of the median comes from sparse samples, not from the clock.
    gap.clamp(1.0, (at_share(sorted, 0.5) as f64 / 8.0).max(1.0))
}

/// The share of the samples in each bin. Each sample is spread over one clock step: with a coarse clock, narrow bins
/// would otherwise be alternately empty and full. Samples outside the edges are ignored.
pub(crate) fn shares(sorted: &[u64], edges: &[f64]) -> Vec<f64> {
    let step = clock_step(sorted);
    let mut bins = vec![0.0; edges.len().saturating_sub(1)];
    let weight = 1.0 / sorted.len().max(1) as f64;
    for &sample in sorted {
        let (low, high) = (sample as f64 - step / 2.0, sample as f64 + step / 2.0);
        // Near 10¹⁹ the step is lost in rounding.
        let spread = (high - low).max(f64::MIN_POSITIVE);
        let first = edges.partition_point(|edge| *edge <= low).saturating_sub(1);
        for (bin, pair) in edges.windows(2).enumerate().skip(first) {
            if pair[0] > high {
                break;
            }
            let inside = if low < high {
                (high.min(pair[1]) - low.max(pair[0])).max(0.0) / spread
            } else {
                f64::from(u8::from(pair[0] <= low && low < pair[1]))
            };
            bins[bin] += weight * inside;
        }
    }
    bins
}

/// Nearest-rank quantile without a minimum number of samples: for layout, not for reporting.
pub(crate) fn at_share(sorted: &[u64], share: f64) -> u64 {
    let rank = position((sorted.len() as f64 * share).ceil()).clamp(1, sorted.len().max(1));
    sorted.get(rank - 1).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coarse_clock_does_not_alternate_bins() {
        let samples: Vec<u64> = (0..1_000).map(|position| 100 + position % 20 * 10).collect();
        let mut sorted = samples;
        sorted.sort_unstable();
        let edges: Vec<f64> = (0..=25).map(|edge| 120.0 + f64::from(edge) * 4.0).collect();
        let bins = shares(&sorted, &edges);
        assert!(bins.iter().all(|share| (share - 0.02).abs() < 1e-9), "{bins:?}");
    }

    #[test]
    fn few_samples_are_not_spread() {
        let edges: Vec<f64> = (0..=50).map(|edge| f64::from(edge) * 10.0 + 0.5).collect();
        let bins = shares(&[100, 200, 300, 400, 420, 460, 480, 490, 495, 499], &edges);
        assert_eq!(bins.iter().filter(|share| **share > 0.0).count(), 9, "{bins:?}");
    }

    #[test]
    fn equal_samples_fill_one_bin() {
        let edges: Vec<f64> = (0..=50).map(|edge| 245.5 + f64::from(edge) * 0.1).collect();
        for sorted in [vec![248], vec![248; 500]] {
            let bins = shares(&sorted, &edges);
            assert_eq!(bins.iter().filter(|share| **share > 0.0).count(), 1, "{bins:?}");
        }
    }

    #[test]
    fn shares_of_samples_within_edges_add_up_to_1() {
        let edges: Vec<f64> = (0..=40).map(|edge| 10_f64.powf(f64::from(edge) / 2.0 - 0.5)).collect();
        for sorted in [vec![1], vec![7; 30], vec![1, 5, 90, 1_000_000], vec![u64::MAX; 3]] {
            let total: f64 = shares(&sorted, &edges).iter().sum();
            assert!((total - 1.0).abs() < 1e-6, "{sorted:?}: {total}");
        }
    }

    #[test]
    fn accepts_no_samples_and_no_edges() {
        assert_eq!(shares(&[], &[0.0, 1.0]), [0.0]);
        assert!(shares(&[1], &[]).is_empty());
    }

    #[test]
    fn quantile_of_few_samples_is_a_sample() {
        assert_eq!([0.0, 0.5, 0.51, 0.99, 1.0].map(|share| at_share(&[10, 20], share)), [10, 10, 20, 20, 20]);
        assert_eq!(at_share(&[], 0.5), 0);
    }
}
