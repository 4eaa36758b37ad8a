//! What a person sees while it works: a line per step, then a bar with the time that is left. On stderr.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// The steps of a run.
#[derive(Debug)]
pub(super) struct Steps {
    bar: ProgressBar,
    watched: bool,
}

impl Steps {
    pub(super) fn new() -> Self {
        let bar = ProgressBar::new_spinner();
        let watched = super::watched();
        if watched {
            bar.enable_steady_tick(Duration::from_millis(100));
        }
        Self { bar, watched }
    }

    /// What is being done now.
    pub(super) fn say(&self, step: &str) {
        if self.watched {
            self.bar.set_message(step.to_owned());
        } else {
            eprintln!("{step}");
        }
    }

    /// Something that stays on the screen.
    pub(super) fn note(&self, text: &str) {
        if self.watched {
            self.bar.println(text);
        } else {
            eprintln!("{text}");
        }
    }

    /// So many blocks of so many are done.
    pub(super) fn blocks(&self, done: usize, of: usize) {
        if self.watched {
            if self.bar.length() != Some(of as u64) {
                self.bar.set_length(of as u64);
                let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} blocks, {eta} left");
                self.bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
                self.bar.set_message("measuring");
            }
            self.bar.set_position(done as u64);
        } else if done == of || done.is_multiple_of(of.div_ceil(5)) {
            eprintln!("measured {done} of {of} blocks");
        }
    }

    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
