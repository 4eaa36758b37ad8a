//! Coverage of intervals and correctness of outcomes, over a few hundred series from known distributions. The required
//! shares allow for the variation of so few series.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use statistics::{Change, Percentile, median_interval, noise_floor, ratio_of_medians};

/// Nanoseconds per unit of a distribution. Large, to make rounding negligible.
const SCALE: f64 = 1e6;

/// Draws one value.
type Draw = fn(&mut StdRng) -> f64;

/// Uniform above 0 and up to 1.
fn uniform(rng: &mut StdRng) -> f64 {
    1.0 - rng.random::<f64>()
}

/// The normal distribution, by the Box-Muller transform.
fn normal(rng: &mut StdRng) -> f64 {
    (-2.0 * uniform(rng).ln()).sqrt() * (std::f64::consts::TAU * uniform(rng)).cos()
}

fn exponential(rng: &mut StdRng) -> f64 {
    -uniform(rng).ln()
}

fn lognormal(rng: &mut StdRng) -> f64 {
    normal(rng).exp()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "no distribution here goes below zero")]
fn nanoseconds(value: f64) -> u64 {
    (value * SCALE).round() as u64
}

/// Around 10, with neighbours correlated by `correlation`: an autoregressive series of order 1 with variance 1.
fn autoregressive(n: usize, correlation: f64, rng: &mut StdRng) -> Vec<u64> {
    let fresh = (1.0 - correlation * correlation).sqrt();
    let mut state = normal(rng);
    let mut next = || {
        state = correlation * state + fresh * normal(rng);
        nanoseconds(10.0 + state)
    };
    (0..n).map(|_| next()).collect()
}

/// Blocks of lognormal latencies whose level varies by 1 % between blocks.
fn blocks(count: usize, samples: usize, factor: f64, rng: &mut StdRng) -> Vec<Vec<u64>> {
    let block = |rng: &mut StdRng| {
        let level = factor * (0.01 * normal(rng)).exp();
        (0..samples).map(|_| nanoseconds(level * (0.3 * normal(rng)).exp())).collect()
    };
    (0..count).map(|_| block(rng)).collect()
}

/// The share of trials in which `holds` returns true.
fn share(trials: u32, mut holds: impl FnMut() -> bool) -> f64 {
    f64::from((0..trials).map(|_| u32::from(holds())).sum::<u32>()) / f64::from(trials)
}

#[test]
fn order_statistics_cover_percentiles_of_any_distribution() {
    // The 90 % quantile of the normal distribution.
    const Z90: f64 = 1.281_551_565_544_600_4;
    let distributions = [
        ("uniform", uniform as Draw, 0.5, 0.9),
        ("exponential", exponential, 2.0_f64.ln(), 10.0_f64.ln()),
        ("lognormal", lognormal, 1.0, Z90.exp()),
    ];
    let mut rng = StdRng::seed_from_u64(1);
    for (name, draw, median, p90) in distributions {
        for (percentile, truth) in [(Percentile::P50, median), (Percentile::P90, p90)] {
            let covered = share(600, || {
                let mut samples: Vec<u64> = (0..200).map(|_| nanoseconds(draw(&mut rng))).collect();
                samples.sort_unstable();
                let interval = percentile.interval(&samples).expect("enough samples");
                (interval.low..=interval.high).contains(&nanoseconds(truth))
            });
            assert!(covered >= 0.93, "{percentile:?} of {name}: {covered}");
        }
    }
}

#[test]
fn chunk_bootstrap_covers_correlated_samples_better() {
    let mut rng = StdRng::seed_from_u64(2);
    let truth = nanoseconds(10.0);
    let trials = 150;
    let mut independent = 0;
    let drawn = share(trials, || {
        let mut samples = autoregressive(1_000, 0.8, &mut rng);
        let chunks = median_interval(&[&samples], 3).expect("samples");
        samples.sort_unstable();
        let ranks = Percentile::P50.interval(&samples).expect("samples");
        independent += u32::from((ranks.low..=ranks.high).contains(&truth));
        (chunks.low..=chunks.high).contains(&truth)
    });
    let independent = f64::from(independent) / f64::from(trials);
    assert!(independent < 0.65, "{independent}");
    assert!(drawn > 0.8 && drawn > independent + 0.2, "{drawn} against {independent}");
}

#[test]
fn block_bootstrap_covers_the_median_despite_drift() {
    let mut rng = StdRng::seed_from_u64(4);
    let covered = share(150, || {
        // Four blocks whose levels differ far more than the variation of their samples explains.
        let blocks: Vec<Vec<u64>> = (0..4)
            .map(|_| {
                let level = 10.0 + normal(&mut rng);
                (0..50).map(|_| nanoseconds(level + 0.3 * normal(&mut rng))).collect()
            })
            .collect();
        let interval = median_interval(&blocks, 5).expect("samples");
        (interval.low..=interval.high).contains(&nanoseconds(10.0))
    });
    assert!(covered > 0.8, "{covered}");
}

/// The outcome for a mode that takes `factor` times as long as the other, in a run of `count` blocks per mode.
fn word(count: usize, samples: usize, factor: f64, rng: &mut StdRng) -> Change {
    let (base, this) = (blocks(count, samples, 1.0, rng), blocks(count, samples, factor, rng));
    Change::from_interval(ratio_of_medians(&this, &base, 7).map(|ratio| ratio.interval), noise_floor(&base, 6))
}

#[test]
fn equal_distributions_are_not_significantly_different() {
    let mut rng = StdRng::seed_from_u64(8);
    for count in [2, 4, 8] {
        let unseen = share(100, || word(count, 100, 1.0, &mut rng) == Change::NotSignificant);
        assert!(unseen >= 0.97, "{count} blocks: {unseen}");
    }
}

#[test]
fn change_by_a_fifth_is_significant() {
    let mut rng = StdRng::seed_from_u64(9);
    // A quick run has four blocks with more samples than these. More blocks need fewer samples.
    for (count, samples) in [(4, 1_500), (8, 500)] {
        let slower = share(30, || word(count, samples, 1.2, &mut rng) == Change::Slower);
        let faster = share(30, || word(count, samples, 1.0 / 1.2, &mut rng) == Change::Faster);
        assert!(slower >= 0.95 && faster >= 0.95, "{count} blocks: {slower} {faster}");
    }
}
