//! How samples are shared out among the bins of a histogram.

use super::data::at_share;

/// Of fewer samples the distances between neighbours are their own and no clock's.
const SHOWS_A_CLOCK: usize = 100;

/// The step of the clock that the samples show: the usual distance between neighbours among the distinct ones; 0 where
/// they show none.
pub(crate) fn clock_step(sorted: &[u64]) -> f64 {
    if sorted.len() < SHOWS_A_CLOCK {
        return 0.0;
    }
    let body = sorted.get(..sorted.len() * 9 / 10).unwrap_or_default();
    let mut gaps: Vec<u64> = body.windows(2).map(|pair| pair[1] - pair[0]).filter(|gap| *gap > 0).collect();
    gaps.sort_unstable();
    let Some(gap) = gaps.get(gaps.len() / 2).map(|gap| *gap as f64) else { return 0.0 };
    // Samples far from each other show no clock.
    gap.clamp(1.0, (at_share(sorted, 0.5) as f64 / 8.0).max(1.0))
}

/// The share of the samples in each bin. A clock with coarse steps would make a comb of narrow bins, so each sample is
/// spread over the step that it stands for. What lies outside of the edges is in no bin.
pub(crate) fn shares(sorted: &[u64], edges: &[f64]) -> Vec<f64> {
    let step = clock_step(sorted);
    let mut bins = vec![0.0; edges.len().saturating_sub(1)];
    let each = 1.0 / sorted.len().max(1) as f64;
    for &sample in sorted {
        let (low, high) = (sample as f64 - step / 2.0, sample as f64 + step / 2.0);
        // Of a sample near 10¹⁹ the step is lost in rounding; it is where it is.
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
            bins[bin] += each * inside;
        }
    }
    bins
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_coarse_clock_leaves_no_comb() {
        let samples: Vec<u64> = (0..1_000).map(|position| 100 + position % 20 * 10).collect();
        let mut sorted = samples;
        sorted.sort_unstable();
        let edges: Vec<f64> = (0..=25).map(|edge| 120.0 + f64::from(edge) * 4.0).collect();
        let bins = shares(&sorted, &edges);
        assert!(bins.iter().all(|share| (share - 0.02).abs() < 1e-9), "{bins:?}");
    }

    #[test]
    fn a_few_samples_stand_where_they_are() {
        let edges: Vec<f64> = (0..=50).map(|edge| f64::from(edge) * 10.0 + 0.5).collect();
        let bins = shares(&[100, 200, 300, 400, 420, 460, 480, 490, 495, 499], &edges);
        assert_eq!(bins.iter().filter(|share| **share > 0.0).count(), 9, "{bins:?}");
    }

    #[test]
    fn one_value_is_one_bar() {
        let edges: Vec<f64> = (0..=50).map(|edge| 245.5 + f64::from(edge) * 0.1).collect();
        for sorted in [vec![248], vec![248; 500]] {
            let bins = shares(&sorted, &edges);
            assert_eq!(bins.iter().filter(|share| **share > 0.0).count(), 1, "{bins:?}");
        }
    }

    #[test]
    fn every_sample_between_the_edges_is_in_a_bin() {
        let edges: Vec<f64> = (0..=40).map(|edge| 10_f64.powf(f64::from(edge) / 2.0 - 0.5)).collect();
        for sorted in [vec![1], vec![7; 30], vec![1, 5, 90, 1_000_000], vec![u64::MAX; 3]] {
            let total: f64 = shares(&sorted, &edges).iter().sum();
            assert!((total - 1.0).abs() < 1e-6, "{sorted:?}: {total}");
        }
    }

    #[test]
    fn no_samples_and_no_edges_have_no_bins() {
        assert_eq!(shares(&[], &[0.0, 1.0]), [0.0]);
        assert!(shares(&[1], &[]).is_empty());
    }
}
