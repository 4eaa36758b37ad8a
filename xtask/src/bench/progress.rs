//! Progress on stderr: a line per step, then a bar with the remaining time. Without a terminal, a line every ten seconds.

use std::cell::Cell;
use std::time::{Duration, Instant};

use bench_model::samples::mode_name;
use bench_model::units::size_name;
use bench_model::{Block, Workload};
use indicatif::{HumanDuration, ProgressBar, ProgressStyle};

use crate::ui;

/// Minimum time between two lines without a terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(10);

/// Shows the steps and the blocks of a run.
#[derive(Debug)]
pub(super) struct ProgressUi {
    bar: ProgressBar,
    /// A label for each block.
    blocks: Vec<String>,
    /// When each block is expected to begin and the last one to end, in milliseconds.
    expected_ms: Vec<u64>,
    /// When the first block started.
    measuring_since: Cell<Instant>,
    last_line: Cell<Instant>,
}

impl ProgressUi {
    pub(super) fn new() -> Self {
        // Hidden without a terminal.
        let bar = ProgressBar::new_spinner();
        if !bar.is_hidden() {
            bar.enable_steady_tick(Duration::from_millis(100));
        }
        let now = Cell::new(Instant::now());
        Self { bar, blocks: Vec::new(), expected_ms: Vec::new(), measuring_since: now.clone(), last_line: now }
    }

    /// Sets the blocks that will be measured.
    pub(super) fn plan(&mut self, blocks: &[Block]) {
        self.blocks = blocks.iter().map(label).collect();
        let ends = blocks.iter().scan(0, |end, block| {
            *end += expected_ms(block);
            Some(*end)
        });
        self.expected_ms = std::iter::once(0).chain(ends).collect();
    }

    /// Shows the current step.
    pub(super) fn status(&self, step: &str) {
        self.last_line.set(Instant::now());
        if self.bar.is_hidden() {
            ui::status(step);
        } else {
            self.bar.set_message(step.to_owned());
        }
    }

    /// Prints a line that stays on the screen.
    pub(super) fn note(&self, text: &str) {
        self.bar.suspend(|| ui::status(text));
    }

    /// Replaces the steps by a bar over the blocks.
    pub(super) fn start_blocks(&self) {
        self.status("measuring");
        let style = ProgressStyle::with_template("{msg:32} {wide_bar} {prefix}");
        self.bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        self.bar.set_length(self.expected_ms.last().copied().unwrap_or(0));
        self.bar.reset();
        self.measuring_since.set(Instant::now());
    }

    /// Shows that `done` of `total` blocks are done.
    pub(super) fn blocks(&self, done: usize, total: usize) {
        let (position, length) = (self.expected_at(done), self.expected_at(total));
        let left = remaining(self.measuring_since.get().elapsed(), position, length);
        let left = if done == total { String::new() } else { format!("about {} left", HumanDuration(left)) };
        if !self.bar.is_hidden() {
            let current = self.blocks.get(done).map_or("", String::as_str);
            self.bar.set_message(format!("{done}/{total} {current}"));
            self.bar.set_prefix(left);
            self.bar.set_position(position);
        } else if self.last_line.get().elapsed() >= LINE_INTERVAL || done == total {
            self.last_line.set(Instant::now());
            let comma = if left.is_empty() { "" } else { ", " };
            ui::status(&format!("measured {done} of {total} blocks{comma}{left}"));
        }
    }

    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }

    /// When block `index` is expected to begin, in milliseconds.
    fn expected_at(&self, index: usize) -> u64 {
        self.expected_ms.get(index).copied().unwrap_or(0)
    }
}

/// The remaining time after `position` of `length` expected milliseconds took `elapsed`. The first blocks hardly change
/// the expectation, because one stall among them would multiply it.
fn remaining(elapsed: Duration, position: u64, length: u64) -> Duration {
    /// Weight of the expectation, in seconds of measurement.
    const PRIOR_S: f64 = 10.0;
    let seconds = |ms: u64| ms as f64 / 1e3;
    let slowdown = (elapsed.as_secs_f64() + PRIOR_S) / (seconds(position) + PRIOR_S);
    Duration::from_secs_f64(seconds(length.saturating_sub(position)) * slowdown)
}

/// A rough duration under emulation: blocks differ by a factor of hundreds, and the bar's estimate needs equal units.
fn expected_ms(block: &Block) -> u64 {
    /// Clock handshakes, commands and rows.
    const OVERHEAD: u64 = 100;
    const ROUND_TRIP_NS: u64 = 100_000;
    const FRAME_BYTES_PER_MS: u64 = 50_000;
    let operations = block.warmup.saturating_add(block.count);
    let gap_ns = block.conditions.gap_ns.unwrap_or(0).max(ROUND_TRIP_NS);
    let paced = operations.saturating_mul(gap_ns) / 1_000_000;
    let ms = match block.workload {
        Workload::Pingpong | Workload::Paced | Workload::Contention => paced,
        Workload::Openloop | Workload::Storm => {
            block.conditions.rate_per_s.map_or(0, |rate| block.count.saturating_mul(1000) / rate.max(1))
        }
        Workload::Frame => operations.saturating_mul(block.size_bytes) / FRAME_BYTES_PER_MS,
        Workload::Stream | Workload::Idle => block.limit_ms.unwrap_or(0),
    };
    OVERHEAD + ms.min(block.limit_ms.unwrap_or(u64::MAX))
}

/// Names a block, such as `frame 4k irq`.
fn label(block: &Block) -> String {
    format!("{} {} {}", block.workload, size_name(block.size_bytes), mode_name(block.host_wait, block.guest_wait))
}

#[cfg(test)]
mod tests {
    use bench_model::{Conditions, WaitMode};

    use super::*;

    fn block(workload: Workload, size_bytes: u64, count: u64, limit_ms: Option<u64>) -> Block {
        Block {
            index: 0,
            workload,
            host_wait: WaitMode::Poll,
            guest_wait: WaitMode::Poll,
            size_bytes,
            warmup: 0,
            count,
            limit_ms,
            corrupt_one: false,
            conditions: Conditions::default(),
        }
    }

    #[test]
    fn remaining_time_combines_expectation_and_measurement() {
        assert_eq!(remaining(Duration::ZERO, 0, 60_000), Duration::from_secs(60));
        let stalled = remaining(Duration::from_secs(5), 500, 60_000);
        assert!(stalled < Duration::from_secs(90), "ten times slower in the first blocks: {stalled:?}");
        let slow = remaining(Duration::from_secs(600), 60_000, 120_000);
        assert!(slow > Duration::from_secs(500), "ten times slower for long: {slow:?}");
        assert_eq!(remaining(Duration::from_secs(1), 60_000, 60_000), Duration::ZERO);
    }

    #[test]
    fn expects_more_time_for_frames_and_no_more_than_the_limit() {
        let frame = expected_ms(&block(Workload::Frame, 24_883_200, 5, None));
        assert!(frame > 5 * expected_ms(&block(Workload::Pingpong, 64, 1250, None)), "{frame}");
        assert_eq!(expected_ms(&block(Workload::Contention, 64, u64::MAX, Some(300))), 400);
        assert_eq!(expected_ms(&block(Workload::Idle, 0, 0, Some(3000))), 3100);
    }
}
