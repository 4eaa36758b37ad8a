//! The blocks of a run: order, number of operations, conditions.
//!
//! Every cell is measured in rounds. A round has one block of each wait mode, in an order drawn from the seed. The next round
//! has the reverse order (ABBA), which cancels linear drift.

use std::time::Duration;

use bench_model::{Arrivals, Block, Conditions, WaitMode, Workload};
use bench_protocol::memory_map::SLOTS;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;

use super::config::BenchConfig;
use super::host_info::cores;

/// Bytes of a short message: one cache line.
const MESSAGE: u64 = 64;
/// Message sizes of a stream.
const STREAM_BYTES: [u64; 4] = [64, 4 << 10, 64 << 10, 1 << 20];
/// Slots of a stream's ring, one cell each.
const STREAM_SLOTS: [u32; 2] = [1, 16];
/// The shared memory that the largest ring and the benchmark's structures need, as a power of two.
pub(super) const MIN_FOR_STREAMS: u64 = 32 << 20;
/// A copy size whose peak bandwidth is always measured: larger than an L2 cache.
const COPY: u64 = 8 << 20;
/// Below the number of guest stamps (`STAMP_COUNT`), with warm-up and a corrupted frame.
const MAX_OPERATIONS: u64 = 30_000;
/// Doorbells of a storm.
const STORM: u64 = 20_000;
/// Doorbells per second of a storm. The last cell is unlimited.
const STORM_RATES: [u64; 3] = [1_000, 10_000, 100_000];
/// Offered load of the open loop, in messages per second.
const RATES: [u64; 5] = [500, 1_000, 2_000, 5_000, 10_000];
const RATES_FULL: [u64; 10] = [200, 500, 1_000, 2_000, 3_000, 5_000, 8_000, 12_000, 20_000, 50_000];

/// Time limit of a contention block.
pub(super) fn contention_limit(full: bool) -> Duration {
    Duration::from_millis(if full { 3_000 } else { 300 })
}

/// How a cell is divided into blocks.
#[derive(Debug, Clone, Copy)]
struct BlockShape {
    rounds: u64,
    warmup: u64,
    count: u64,
    limit_ms: Option<u64>,
}

/// The blocks of a run.
pub(super) fn blocks(config: &BenchConfig) -> Vec<Block> {
    let mut builder = PlanBuilder { config, rng: StdRng::seed_from_u64(config.seed), blocks: Vec::new() };
    for workload in &config.workloads {
        match workload {
            Workload::Pingpong => builder.pingpong(),
            Workload::Paced => builder.paced(),
            Workload::Openloop => builder.open_loop(),
            Workload::Frame => builder.frames(),
            Workload::Stream => builder.streams(),
            Workload::Storm => builder.storms(),
            Workload::Idle => builder.idle(),
            Workload::Contention => builder.contention(),
        }
    }
    builder.blocks
}

/// Copy sizes whose peak bandwidth is measured: those of every block that copies, and one more.
pub(super) fn peak_sizes(config: &BenchConfig) -> Vec<u64> {
    let copying = blocks(config).into_iter().filter(|block| block.workload.copies());
    let mut sizes: Vec<u64> = copying.map(|block| block.size_bytes).collect();
    sizes.push(COPY.min(config.size_bytes - SLOTS as u64));
    sizes.sort_unstable();
    sizes.dedup();
    sizes
}

/// Collects blocks.
struct PlanBuilder<'c> {
    config: &'c BenchConfig,
    rng: StdRng,
    blocks: Vec<Block>,
}

impl PlanBuilder<'_> {
    fn scale(&self) -> u64 {
        if self.config.full { 10 } else { 1 }
    }

    /// Pairs of equal wait modes.
    fn diagonal(&self) -> Vec<(WaitMode, WaitMode)> {
        self.config.modes.iter().map(|wait| (*wait, *wait)).collect()
    }

    /// Pairs of equal wait modes, or with `--matrix` all pairs.
    fn pairs(&self) -> Vec<(WaitMode, WaitMode)> {
        if !self.config.matrix {
            return self.diagonal();
        }
        WaitMode::ALL.into_iter().flat_map(|host| WaitMode::ALL.map(|guest| (host, guest))).collect()
    }

    fn pingpong(&mut self) {
        let shape = BlockShape { rounds: 8, warmup: 250, count: 1_250 * self.scale(), limit_ms: None };
        self.cell(Workload::Pingpong, MESSAGE, Conditions::default(), shape, &self.pairs());
        // Stamps before the acknowledgement slow a polling guest down considerably, so they have separate blocks.
        let spinning: Vec<(WaitMode, WaitMode)> =
            self.pairs().into_iter().filter(|(_, guest)| *guest != WaitMode::Irq).collect();
        let stamped = Conditions { full_stamps: true, ..Conditions::default() };
        self.cell(Workload::Pingpong, MESSAGE, stamped, BlockShape { rounds: 2, ..shape }, &spinning);
    }

    fn paced(&mut self) {
        let conditions = Conditions { gap_ns: Some(self.config.gap_ns), ..Conditions::default() };
        let shape = BlockShape { rounds: 4, warmup: 10, count: 250 * self.scale(), limit_ms: None };
        self.cell(Workload::Paced, MESSAGE, conditions, shape, &self.pairs());
    }

    fn open_loop(&mut self) {
        let (rates, seconds) = if self.config.full { (&RATES_FULL[..], 5) } else { (&RATES[..], 2) };
        let rates = if self.config.rates.is_empty() { rates.to_vec() } else { self.config.rates.clone() };
        for arrivals in [Arrivals::Fixed, Arrivals::Poisson] {
            for &rate in &rates {
                let conditions =
                    Conditions { rate_per_s: Some(rate), arrivals: Some(arrivals), ..Conditions::default() };
                let count = (rate * seconds / 2).clamp(1, MAX_OPERATIONS - 100);
                // Bounds the time at a rate above the throughput.
                let limit_ms = Some(seconds * 1_000);
                let shape = BlockShape { rounds: 2, warmup: 100, count, limit_ms };
                self.cell(Workload::Openloop, MESSAGE, conditions, shape, &self.diagonal());
            }
        }
    }

    fn frames(&mut self) {
        let config = self.config;
        for &size in &config.frame_bytes {
            // One warm-up frame for each slot.
            let warm = BlockShape { rounds: 2, warmup: 3, count: 5 * self.scale(), limit_ms: None };
            self.cell(Workload::Frame, size, Conditions::default(), warm, &self.diagonal());
            // Only the caches are cold: the slots have been used.
            let cold = BlockShape { warmup: 0, count: 2 * self.scale(), ..warm };
            let conditions = Conditions { cold: true, ..Conditions::default() };
            self.cell(Workload::Frame, size, conditions, cold, &self.diagonal());
        }
    }

    fn streams(&mut self) {
        // Each block yields one throughput; the interval needs several.
        let limit_ms = Some(if self.config.full { 1_250 } else { 125 });
        let shape = BlockShape { rounds: 8, warmup: 0, count: MAX_OPERATIONS, limit_ms };
        let rung: Vec<(WaitMode, WaitMode)> = self.diagonal().into_iter().filter(|(_, guest)| guest.blocks()).collect();
        for size in STREAM_BYTES {
            for slots in STREAM_SLOTS {
                let conditions = Conditions { slots: Some(slots), ..Conditions::default() };
                self.cell(Workload::Stream, size, conditions, shape, &self.diagonal());
                self.cell(Workload::Stream, size, Conditions { always_ring: true, ..conditions }, shape, &rung);
            }
        }
    }

    /// Polling guests are left out, because they are not rung.
    fn storms(&mut self) {
        let rung: Vec<(WaitMode, WaitMode)> = self.diagonal().into_iter().filter(|(_, guest)| guest.blocks()).collect();
        for rate in STORM_RATES.into_iter().map(Some).chain([None]) {
            let count = rate.map_or(STORM, |rate| rate / 2).min(STORM);
            let conditions = Conditions { rate_per_s: rate, ..Conditions::default() };
            let rounds = if self.config.full { 4 } else { 1 };
            let shape = BlockShape { rounds, warmup: 0, count, limit_ms: None };
            self.cell(Workload::Storm, MESSAGE, conditions, shape, &rung);
        }
    }

    fn idle(&mut self) {
        let rounds = if self.config.full { 3 } else { 1 };
        let shape = BlockShape { rounds, warmup: 0, count: 1, limit_ms: Some(3_000) };
        self.cell(Workload::Idle, MESSAGE, Conditions::default(), shape, &self.diagonal());
    }

    /// 0 to the number of cores + 1 busy threads, and both sides on one core.
    fn contention(&mut self) {
        let cores = u32::try_from(cores().len()).unwrap_or(u32::MAX);
        let busy: Vec<u32> = self.config.load.map_or_else(|| (0..=cores + 1).collect(), |threads| vec![threads]);
        let mut loads: Vec<Conditions> = busy
            .into_iter()
            .map(|threads| Conditions { busy_threads: Some(threads), ..Conditions::default() })
            .collect();
        if self.config.load.is_none() {
            loads.push(Conditions { busy_threads: Some(0), shared_core: true, ..Conditions::default() });
        }
        let limit_ms = u64::try_from(contention_limit(self.config.full).as_millis()).ok();
        for load in loads {
            let pingpong = BlockShape { rounds: 2, warmup: 5, count: 1_000 * self.scale(), limit_ms };
            let paced_shape = BlockShape { rounds: 6, ..pingpong };
            self.cell(Workload::Contention, MESSAGE, load, pingpong, &self.diagonal());
            let paced = Conditions { gap_ns: Some(self.config.gap_ns), ..load };
            self.cell(Workload::Contention, MESSAGE, paced, paced_shape, &self.diagonal());
        }
    }

    /// Adds rounds with one block of each pair, or two with `--aa`.
    fn cell(
        &mut self,
        workload: Workload,
        size_bytes: u64,
        conditions: Conditions,
        shape: BlockShape,
        pairs: &[(WaitMode, WaitMode)],
    ) {
        let twice = self.config.aa && matches!(workload, Workload::Pingpong | Workload::Paced);
        let arms = if twice { &[false, true][..] } else { &[false][..] };
        let mut order: Vec<((WaitMode, WaitMode), bool)> =
            pairs.iter().flat_map(|pair| arms.iter().map(move |again| (*pair, *again))).collect();
        for round in 0..shape.rounds {
            if round % 2 == 0 {
                order.shuffle(&mut self.rng);
            } else {
                order.reverse();
            }
            for &((host_wait, guest_wait), again) in &order {
                self.blocks.push(Block {
                    index: u32::try_from(self.blocks.len()).unwrap_or(u32::MAX),
                    workload,
                    host_wait,
                    guest_wait,
                    size_bytes,
                    warmup: shape.warmup,
                    count: shape.count,
                    limit_ms: shape.limit_ms,
                    corrupt_one: workload == Workload::Frame && round == 0,
                    conditions: Conditions { aa_repeat: again, ..conditions },
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::flag_checks::tests::parse;
    use bench_model::Block;
    use bench_model::WaitMode::{self, Irq, Poll};
    use bench_model::Workload;

    fn blocks(words: &str) -> Vec<Block> {
        super::blocks(&parse(words).unwrap())
    }

    #[test]
    fn rounds_alternate_the_order_of_modes() {
        let mut blocks = blocks("--workload pingpong");
        blocks.retain(|b| !b.conditions.full_stamps);
        let order: Vec<WaitMode> = blocks.iter().map(|b| b.guest_wait).collect();
        for rounds in order.chunks(4) {
            assert!([[Poll, Irq, Irq, Poll], [Irq, Poll, Poll, Irq]].iter().any(|abba| abba == rounds), "{order:?}");
        }
        let per_mode: u64 = blocks.iter().filter(|b| b.guest_wait == Irq).map(|b| b.count).sum();
        assert_eq!(per_mode, 10_000);
    }

    #[test]
    fn polling_guests_have_separate_blocks_with_all_stamps() {
        let stamped = |words: &str| {
            let blocks = blocks(words);
            blocks
                .into_iter()
                .filter(|b| b.conditions.full_stamps)
                .map(|b| b.guest_wait)
                .collect::<BTreeSet<WaitMode>>()
        };
        assert_eq!(stamped("--workload pingpong"), [Poll].into());
        assert_eq!(stamped("--workload pingpong --mode irq"), [].into());
        assert_eq!(stamped("--workload pingpong --mode all"), [Poll, WaitMode::Hybrid].into());
    }

    #[test]
    fn order_depends_on_the_seed() {
        let order = |words: &str| blocks(words);
        assert_eq!(order("--seed 3"), order("--seed 3"));
        assert!((1..9).any(|seed| order(&format!("--seed {seed}")) != order("--seed 9")));
    }

    #[test]
    fn matrix_has_nine_cells_in_every_round() {
        let mut blocks = blocks("--workload pingpong --matrix");
        blocks.retain(|b| !b.conditions.full_stamps);
        for round in blocks.chunks(9) {
            let cells: BTreeSet<(WaitMode, WaitMode)> = round.iter().map(|b| (b.host_wait, b.guest_wait)).collect();
            assert_eq!(cells.len(), 9);
        }
    }

    #[test]
    fn each_frame_size_and_mode_has_corrupted_frames() {
        let blocks = blocks("");
        let corrupted: BTreeSet<(u64, WaitMode)> =
            blocks.iter().filter(|b| b.corrupt_one).map(|b| (b.size_bytes, b.guest_wait)).collect();
        assert_eq!(corrupted.len(), 6);
    }

    #[test]
    fn blocks_have_at_most_as_many_operations_as_stamps() {
        for block in blocks("--full --workload all --mode all") {
            assert!(block.warmup + block.count < 32_768, "{block:?}");
        }
    }

    #[test]
    fn aa_measures_each_mode_twice() {
        let blocks = blocks("--workload pingpong --mode irq --aa");
        let again = blocks.iter().filter(|b| b.conditions.aa_repeat).count();
        assert_eq!((again, blocks.len()), (8, 16));
    }

    #[test]
    fn polling_has_no_storm() {
        let blocks = blocks("--workload storm,stream --mode poll");
        assert!(blocks.iter().all(|b| b.workload == Workload::Stream && !b.conditions.always_ring));
    }
}
