//! Resamples a series in blocks and chunks, and finds the medians of the replicates without selecting from all samples.
//!
//! Samples are stored as ranks among the distinct values. A replicate is a list of chunks. Its median is the rank at
//! which the cumulative counts reach half. Nearly all replicates have their median in a narrow [`Window`] of ranks. The
//! number of samples of a chunk below the window is the difference of two prefix sums, so only the few samples inside
//! are counted one by one. The cost of a replicate is therefore about proportional to its number of chunks. The result
//! is exact: if a median lies outside the window, it is selected from the samples.

use std::ops::Range;

use rand::RngExt;
use rand::rngs::StdRng;

use crate::percentile::Percentile;

/// Replicates whose median is selected from all samples, to place the window. The window extends their range by its width on either side,
/// so few other medians lie outside.
const PILOTS: usize = 24;

/// A series in non-empty blocks.
pub(crate) struct Series {
    /// By nearest rank.
    pub(crate) median: u64,
    /// The distinct values, ascending.
    values: Vec<u64>,
    /// The samples' ranks among the values, in the order of measurement.
    ranks: Vec<u32>,
    /// The samples of each block.
    blocks: Vec<Range<usize>>,
}

impl Series {
    /// `None` if there are fewer than 6 samples: the median has no interval then, even for independent samples.
    pub(crate) fn from_blocks<B: AsRef<[u64]>>(blocks: &[B]) -> Option<Self> {
        let filled = || blocks.iter().map(AsRef::as_ref).filter(|block| !block.is_empty());
        let mut values: Vec<u64> = filled().flatten().copied().collect();
        values.sort_unstable();
        Percentile::P50.interval(&values)?;
        let median = Percentile::P50.of(&values)?;
        values.dedup();
        // Ranks have 32 bits.
        let rank = |sample: &u64| u32::try_from(values.partition_point(|value| value < sample)).ok();
        let ranks = filled().flatten().map(rank).collect::<Option<Vec<u32>>>()?;
        let mut end = 0;
        let range = |block: &[u64]| {
            end += block.len();
            end - block.len()..end
        };
        Some(Self { median, blocks: filled().map(range).collect(), values, ranks })
    }

    /// Blocks that are not empty.
    pub(crate) fn blocks(&self) -> usize {
        self.blocks.len()
    }

    /// The medians of the given number of replicates, by nearest rank.
    pub(crate) fn replicate_medians(&self, replicates: usize, rng: &mut StdRng) -> Vec<u64> {
        let mut medians: Vec<usize> = (0..replicates.min(PILOTS)).map(|_| self.median_rank(&self.draw(rng))).collect();
        let (low, high) = (medians.iter().min().copied().unwrap_or(0), medians.iter().max().copied().unwrap_or(0));
        let margin = high - low + 1;
        let window = low.saturating_sub(margin)..(high + margin + 1).min(self.values.len());
        let mut window = Window::new(&self.ranks, window);
        while medians.len() < replicates {
            let chunks = self.draw(rng);
            medians.push(window.median_rank(&chunks).unwrap_or_else(|| self.median_rank(&chunks)));
        }
        medians.into_iter().map(|rank| self.values[rank]).collect()
    }

    /// Draws the chunks of one replicate.
    fn draw(&self, rng: &mut StdRng) -> Vec<Range<usize>> {
        let mut chunks = Vec::new();
        for _ in &self.blocks {
            // A single block is always drawn, without using the random generator.
            let drawn = if self.blocks.len() > 1 { rng.random_range(0..self.blocks.len()) } else { 0 };
            let samples = &self.blocks[drawn];
            let chunk = chunk_length(samples.len());
            let mut left = samples.len();
            while left > 0 {
                let start = rng.random_range(samples.start..=samples.end - chunk);
                // The last chunk is truncated to keep the weight of the block.
                let taken = left.min(chunk);
                chunks.push(start..start + taken);
                left -= taken;
            }
        }
        chunks
    }

    /// The rank of the chunks' median, selected from their samples.
    fn median_rank(&self, chunks: &[Range<usize>]) -> usize {
        let mut drawn: Vec<u32> = chunks.iter().flat_map(|chunk| &self.ranks[chunk.clone()]).copied().collect();
        let middle = drawn.len().div_ceil(2) - 1;
        *drawn.select_nth_unstable(middle).1 as usize
    }
}

/// A range of ranks from `first` on, and the positions of these ranks in the series.
struct Window {
    first: usize,
    /// For each position in the series: the number of earlier samples below the window, and of those inside.
    before: Vec<(usize, usize)>,
    /// The samples inside, as ranks from `first`.
    inside: Vec<usize>,
    /// The count of each rank of the window in a replicate.
    counts: Vec<usize>,
}

impl Window {
    fn new(series: &[u32], window: Range<usize>) -> Self {
        let mut before = vec![(0, 0)];
        let mut inside = Vec::new();
        let mut below = 0;
        for rank in series.iter().map(|&rank| rank as usize) {
            below += usize::from(rank < window.start);
            if window.contains(&rank) {
                inside.push(rank - window.start);
            }
            before.push((below, inside.len()));
        }
        Self { first: window.start, before, inside, counts: vec![0; window.len()] }
    }

    /// The rank of the chunks' median: the smallest rank that at least half of their samples do not exceed. `None` if
    /// it is outside the window.
    fn median_rank(&mut self, chunks: &[Range<usize>]) -> Option<usize> {
        self.counts.fill(0);
        let (mut samples, mut below) = (0, 0);
        for chunk in chunks {
            let (from, to) = (self.before[chunk.start], self.before[chunk.end]);
            samples += chunk.len();
            below += to.0 - from.0;
            for &rank in &self.inside[from.1..to.1] {
                self.counts[rank] += 1;
            }
        }
        let half = samples.div_ceil(2);
        let up_to = self.counts.iter().scan(below, |sum, count| {
            *sum += count;
            Some(*sum)
        });
        let rank = up_to.take_while(|sum| *sum < half).count();
        (below < half && rank < self.counts.len()).then_some(self.first + rank)
    }
}

/// About the cube root of a block's length, at least 1. Künsch shows that this order is optimal for the variance.
fn chunk_length(samples: usize) -> usize {
    let mut length = 1;
    // Rounds to nearest: increments while (length + ½)³ does not exceed the number of samples.
    while (2 * length + 1_usize).pow(3) <= samples.saturating_mul(8) {
        length += 1;
    }
    length
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;

    use super::*;

    fn blocks() -> impl Strategy<Value = Vec<Vec<u64>>> {
        prop::collection::vec(prop::collection::vec(0_u64..50, 0..20), 1..6)
    }

    /// The median by sorting the drawn samples.
    fn naive(blocks: &[Vec<u64>], chunks: &[Range<usize>]) -> u64 {
        let all: Vec<u64> = blocks.concat();
        let mut drawn: Vec<u64> = chunks.iter().flat_map(|chunk| &all[chunk.clone()]).copied().collect();
        drawn.sort_unstable();
        Percentile::P50.of(&drawn).expect("something was drawn")
    }

    proptest! {
        #[test]
        fn counted_medians_equal_nearest_rank_medians(blocks in blocks()) {
            let mut all: Vec<u64> = blocks.concat();
            all.sort_unstable();
            if let Some(series) = Series::from_blocks(&blocks) {
                let all_ranks = 0..series.ranks.len();
                let whole = std::slice::from_ref(&all_ranks);
                let counted = Window::new(&series.ranks, 0..series.values.len()).median_rank(whole);
                let selected = series.median_rank(whole);
                prop_assert_eq!(counted, Some(selected));
                prop_assert_eq!(Some(series.values[selected]), Percentile::P50.of(&all));
                prop_assert_eq!(series.median, series.values[selected]);
            } else {
                prop_assert!(all.len() < 6);
            }
        }

        #[test]
        fn window_finds_only_medians_inside_it(blocks in blocks(), low in 0_usize..50, width in 1_usize..50, seed in any::<u64>()) {
            let Some(series) = Series::from_blocks(&blocks) else { return Ok(()) };
            let low = low.min(series.values.len() - 1);
            let mut window = Window::new(&series.ranks, low..(low + width).min(series.values.len()));
            let inside = series.values[low]..=series.values[(low + width).min(series.values.len()) - 1];
            let chunks = series.draw(&mut StdRng::seed_from_u64(seed));
            let median = naive(&blocks, &chunks);
            let found = window.median_rank(&chunks).map(|rank| series.values[rank]);
            prop_assert_eq!(found, Some(median).filter(|median| inside.contains(median)));
        }

        #[test]
        fn replicate_medians_equal_sorted_medians(blocks in blocks(), seed in any::<u64>()) {
            let Some(series) = Series::from_blocks(&blocks) else { return Ok(()) };
            let medians = series.replicate_medians(60, &mut StdRng::seed_from_u64(seed));
            let mut rng = StdRng::seed_from_u64(seed);
            for median in medians {
                prop_assert_eq!(median, naive(&blocks, &series.draw(&mut rng)));
            }
        }

        #[test]
        fn chunks_stay_in_their_block_and_sum_to_its_length(blocks in blocks(), seed in any::<u64>()) {
            let Some(series) = Series::from_blocks(&blocks) else { return Ok(()) };
            let mut chunks = series.draw(&mut StdRng::seed_from_u64(seed)).into_iter();
            for _ in 0..series.blocks() {
                let first = chunks.next().expect("a chunk per block");
                let block = series.blocks.iter().find(|block| block.contains(&first.start)).expect("a block");
                let mut left = block.len() - first.len();
                while left > 0 {
                    let chunk = chunks.next().expect("the block goes on");
                    prop_assert!(chunk.start >= block.start && chunk.end <= block.end);
                    left -= chunk.len();
                }
            }
            prop_assert_eq!(chunks.next(), None);
        }
    }

    #[test]
    fn chunk_length_is_the_cube_root_of_the_samples() {
        for (samples, length) in [(1, 1), (3, 1), (4, 2), (8, 2), (27, 3), (1_000, 10), (25_000, 29), (1_000_000, 100)]
        {
            assert_eq!(chunk_length(samples), length, "{samples}");
        }
    }
}
