//! How long the rest of a plan takes. Blocks differ by a thousand times in length, so that counting them misleads: each
//! is guessed from what it asks for, and the guess is corrected by how long its like took so far.

use std::time::Duration;

use report::plan::{Block, Conditions, Wait, Workload};

/// What one message takes at a guess: a doorbell's way under emulation.
const MESSAGE: Duration = Duration::from_micros(100);
/// What a frame's byte takes at a guess: SHA-256 under emulation.
const PER_BYTE_NS: u64 = 22;
/// What is done around a block: clocks, barrier, counters.
const AROUND: Duration = Duration::from_millis(30);

/// What makes blocks alike.
type Kind = (Workload, u64, Wait, Wait, Conditions);

/// A plan's blocks and the time that the finished ones took.
#[derive(Debug, Default)]
pub(super) struct Remaining {
    blocks: Vec<(Kind, Duration)>,
    took: Vec<Duration>,
}

impl Remaining {
    pub(super) fn of(blocks: &[Block]) -> Self {
        Self { blocks: blocks.iter().map(|block| (kind(block), guess(block))).collect(), took: Vec::new() }
    }

    /// The next block took so long.
    pub(super) fn took(&mut self, time: Duration) {
        self.took.push(time);
    }

    /// For the blocks that are left, the one under way from its beginning.
    pub(super) fn left(&self) -> Duration {
        self.blocks.iter().skip(self.took.len()).map(|block| self.estimate(block)).sum()
    }

    /// For the finished blocks, as they went.
    pub(super) fn spent(&self) -> Duration {
        self.took.iter().sum()
    }

    /// What the block under way is about.
    pub(super) fn current(&self) -> Option<String> {
        let ((workload, size, host, guest, _), _) = self.blocks.get(self.took.len())?;
        let mode = report::samples::mode_name(*host, *guest);
        Some(format!("{workload} {} {mode}", report::frame_size::size_name(*size)))
    }

    /// The mean of its like; else the guess, corrected as those of its workload had to be; else as all had to be.
    fn estimate(&self, (kind, guess): &(Kind, Duration)) -> Duration {
        let finished = || self.blocks.iter().zip(&self.took);
        let alike: Vec<&Duration> = finished().filter(|((other, _), _)| other == kind).map(|(_, took)| took).collect();
        if let Ok(count @ 1..) = u32::try_from(alike.len()) {
            return alike.into_iter().sum::<Duration>() / count;
        }
        let correction = |is_like: &dyn Fn(&Kind) -> bool| {
            let like = || finished().filter(|((other, _), _)| is_like(other));
            let guessed: Duration = like().map(|((_, guess), _)| *guess).sum();
            let took: Duration = like().map(|(_, took)| *took).sum();
            (!guessed.is_zero()).then(|| took.as_secs_f64() / guessed.as_secs_f64())
        };
        // What polls and what blocks differ the most in how far a guess is off.
        let of_way = correction(&|other| (other.0, other.2, other.3) == (kind.0, kind.2, kind.3));
        let of_workload = || correction(&|other| other.0 == kind.0);
        // Other workloads say little: a guess is not made ten times as long by them.
        let of_all = || correction(&|_| true).map(|factor| factor.clamp(0.5, 2.0));
        guess.mul_f64(of_way.or_else(of_workload).or_else(of_all).unwrap_or(1.0))
    }
}

fn kind(block: &Block) -> Kind {
    (block.workload, block.size_bytes, block.host_wait, block.guest_wait, block.conditions)
}

/// From what the block asks for alone.
fn guess(block: &Block) -> Duration {
    let times = |one: Duration, count: u64| one.saturating_mul(u32::try_from(count).unwrap_or(u32::MAX));
    let operations = block.warmup.saturating_add(block.count).saturating_add(block.corrupt_one.into());
    let gap = Duration::from_nanos(block.conditions.gap_ns.unwrap_or(0));
    let work = match (block.workload, block.conditions.rate_per_s) {
        (Workload::Frame, _) => times(Duration::from_nanos(block.size_bytes.saturating_mul(PER_BYTE_NS)), operations),
        (_, Some(rate)) => times(Duration::from_secs(1) / u32::try_from(rate.max(1)).unwrap_or(u32::MAX), operations),
        (Workload::Storm, None) => Duration::ZERO,
        _ => times(gap + MESSAGE, operations),
    };
    let limit = block.limit_ms.map(Duration::from_millis);
    let work = match block.workload {
        // They last as long as they may.
        Workload::Idle | Workload::Stream => limit.unwrap_or(work),
        _ => limit.map_or(work, |limit| work.min(limit)),
    };
    AROUND + work
}

/// Seconds below a minute, then minutes and seconds: nobody plans by milliseconds.
pub(super) fn told(left: Duration) -> String {
    match left.as_secs_f64().ceil() {
        seconds if seconds < 60.0 => format!("{seconds:.0} s"),
        seconds if seconds < 3_600.0 => format!("{:.0} min {:02.0} s", (seconds / 60.0).floor(), seconds % 60.0),
        seconds => format!("{:.0} h {:02.0} min", (seconds / 3_600.0).floor(), (seconds % 3_600.0 / 60.0).floor()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::config::tests::parse;
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_block_is_taken_to_last_as_long_as_its_like_did() {
        let mut blocks = parse("--workload frame --mode irq").unwrap().blocks();
        blocks.retain(|block| !block.conditions.cold);
        let mut remaining = Remaining::of(&blocks);
        // 1080p twice, 1440p twice, 4K twice.
        remaining.took(2 * SECOND);
        remaining.took(4 * SECOND);
        remaining.took(10 * SECOND);
        let of_next = remaining.estimate(&remaining.blocks[3]);
        assert_eq!(of_next, 10 * SECOND);
        let of_4k = remaining.estimate(&remaining.blocks[4]);
        assert!(of_4k > 15 * SECOND, "larger frames are guessed by the smaller ones: {of_4k:?}");
        // The first of each size has a corrupted frame more.
        let of_last = remaining.estimate(&remaining.blocks[5]);
        assert!(of_last < of_4k);
        assert_eq!((remaining.left(), remaining.spent()), (of_next + of_4k + of_last, 16 * SECOND));
    }

    #[test]
    fn blocks_weigh_by_their_work_and_not_by_their_number() {
        let blocks = parse("").unwrap().blocks();
        let remaining = Remaining::of(&blocks);
        let frames = blocks.iter().filter(|block| block.workload == Workload::Frame).count();
        let of_frames: Duration =
            remaining.blocks.iter().filter(|((w, ..), _)| *w == Workload::Frame).map(|b| b.1).sum();
        assert!(frames * 3 < blocks.len() && of_frames * 2 > remaining.left(), "{frames} frames take {of_frames:?}");
    }

    #[test]
    fn nothing_is_left_of_a_plan_that_is_done_nor_of_none() {
        let blocks = parse("--workload idle --mode poll").unwrap().blocks();
        let mut remaining = Remaining::of(&blocks);
        assert!(remaining.left() >= 3 * SECOND, "idling lasts its three seconds");
        assert_eq!(remaining.current().as_deref(), Some("idle 64 B poll"));
        remaining.took(SECOND);
        // One more than was planned changes nothing.
        remaining.took(SECOND);
        assert_eq!((remaining.left(), remaining.current()), (Duration::ZERO, None));
        assert_eq!(Remaining::default().left(), Duration::ZERO);
    }

    #[test]
    fn time_is_told_as_people_plan_by_it() {
        let times = [0.0, 0.2, 59.0, 59.5, 61.0, 3_725.0].map(|seconds| told(Duration::from_secs_f64(seconds)));
        assert_eq!(times, ["0 s", "1 s", "59 s", "1 min 00 s", "1 min 01 s", "1 h 02 min"]);
    }
}
