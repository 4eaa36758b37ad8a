//! Progress on stderr: a line per step, then a bar with the remaining time. Without a terminal, a line every ten seconds.

use std::cell::Cell;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use bench_model::Block;
use bench_model::samples::mode_name;
use bench_model::units::size_name;
use indicatif::{HumanDuration, ProgressBar, ProgressStyle};

use crate::ui;

/// Minimum time between two lines without a terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(10);

/// Shows the steps and the blocks of a run.
#[derive(Debug)]
pub(super) struct ProgressUi {
    bar: ProgressBar,
    is_terminal: bool,
    /// A label for each block.
    blocks: Vec<String>,
    last_line: Cell<Instant>,
}

impl ProgressUi {
    pub(super) fn new() -> Self {
        let bar = ProgressBar::new_spinner();
        let is_terminal = std::io::stderr().is_terminal();
        if is_terminal {
            bar.enable_steady_tick(Duration::from_millis(100));
        }
        Self { bar, is_terminal, blocks: Vec::new(), last_line: Cell::new(Instant::now()) }
    }

    /// Sets the blocks that will be measured.
    pub(super) fn plan(&mut self, blocks: &[Block]) {
        self.blocks = blocks.iter().map(label).collect();
    }

    /// Shows the current step.
    pub(super) fn status(&self, step: &str) {
        self.last_line.set(Instant::now());
        if self.is_terminal {
            self.bar.set_message(step.to_owned());
        } else {
            ui::status(step);
        }
    }

    /// Prints a line that stays on the screen.
    pub(super) fn note(&self, text: &str) {
        if self.is_terminal {
            self.bar.println(text);
        } else {
            ui::status(text);
        }
    }

    /// Replaces the steps by a bar over the blocks.
    pub(super) fn start_blocks(&self) {
        self.status("measuring");
        let style = ProgressStyle::with_template("{msg:32} {wide_bar} about {eta} left");
        self.bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        self.bar.set_length(self.blocks.len() as u64);
        self.bar.reset();
    }

    /// Shows that `done` of `total` blocks are done.
    pub(super) fn blocks(&self, done: usize, total: usize) {
        self.bar.set_position(done as u64);
        if self.is_terminal {
            let current = self.blocks.get(done).map_or("", String::as_str);
            self.bar.set_message(format!("{done}/{total} {current}"));
        } else if self.last_line.get().elapsed() >= LINE_INTERVAL || done == total {
            self.last_line.set(Instant::now());
            let left =
                if done == total { String::new() } else { format!(", about {} left", HumanDuration(self.bar.eta())) };
            ui::status(&format!("measured {done} of {total} blocks{left}"));
        }
    }

    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// Names a block, such as `frame 4k irq`.
fn label(block: &Block) -> String {
    format!("{} {} {}", block.workload, size_name(block.size_bytes), mode_name(block.host_wait, block.guest_wait))
}
