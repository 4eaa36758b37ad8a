//! What a person sees while it works: a line per step, then a bar with the time that is left. On stderr. Where nobody
//! watches, a line now and then instead of a bar.

use std::fmt::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use report::plan::Block;

use super::remaining::{Remaining, told};

/// Between two lines where nobody watches.
const SILENCE: Duration = Duration::from_secs(10);

/// The steps of a run.
#[derive(Debug)]
pub(super) struct Steps {
    bar: ProgressBar,
    watched: bool,
    clock: Arc<Mutex<Clock>>,
}

/// What is known of the time.
#[derive(Debug)]
struct Clock {
    remaining: Remaining,
    /// When the block under way began, as far as is known.
    since: Instant,
    /// When the last line was written.
    told: Instant,
}

impl Steps {
    pub(super) fn new() -> Self {
        let bar = ProgressBar::new_spinner();
        let watched = super::watched();
        if watched {
            bar.enable_steady_tick(Duration::from_millis(100));
        }
        let now = Instant::now();
        let clock = Clock { remaining: Remaining::default(), since: now, told: now };
        Self { bar, watched, clock: Arc::new(Mutex::new(clock)) }
    }

    /// What will be measured.
    pub(super) fn plan(&self, blocks: &[Block]) {
        locked(&self.clock).remaining = Remaining::of(blocks);
    }

    /// What is being done now.
    pub(super) fn say(&self, step: &str) {
        let now = Instant::now();
        let mut clock = locked(&self.clock);
        (clock.since, clock.told) = (now, now);
        drop(clock);
        if self.watched {
            self.bar.set_message(step.to_owned());
        } else {
            crate::out::say(step);
        }
    }

    /// Something that stays on the screen.
    pub(super) fn note(&self, text: &str) {
        if self.watched {
            self.bar.println(text);
        } else {
            crate::out::say(text);
        }
    }

    /// So many blocks of so many are done.
    pub(super) fn blocks(&self, done: usize, of: usize) {
        let now = Instant::now();
        let mut clock = locked(&self.clock);
        let took = now.duration_since(clock.since);
        clock.remaining.took(took);
        clock.since = now;
        let (spent, left) = (clock.remaining.spent(), clock.remaining.left());
        let current = clock.remaining.current().unwrap_or_default();
        let is_due = now.duration_since(clock.told) >= SILENCE || done == of;
        if is_due {
            clock.told = now;
        }
        drop(clock);
        if self.watched {
            if self.bar.length().is_none() {
                self.bar.set_style(self.style());
            }
            self.bar.set_length(millis(spent + left).max(1));
            self.bar.set_position(millis(spent));
            self.bar.set_message(format!("{done}/{of} {current}"));
        } else if is_due {
            let rest = if done == of { String::new() } else { format!(", about {} left", told(left)) };
            crate::out::say(&format!("measured {done} of {of} blocks{rest}"));
        }
    }

    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }

    /// The time that is left goes down while a block lasts, and not only when it ends.
    fn style(&self) -> ProgressStyle {
        let clock = Arc::clone(&self.clock);
        let left = move |_: &ProgressState, out: &mut dyn Write| {
            let clock = locked(&clock);
            let left = clock.remaining.left().saturating_sub(clock.since.elapsed());
            // A bar that cannot be drawn is no reason to stop measuring.
            let _ = out.write_str(&told(left));
        };
        let style = ProgressStyle::with_template("{msg:32} {wide_bar} about {left} left");
        style.unwrap_or_else(|_| ProgressStyle::default_bar()).with_key("left", left)
    }
}

/// A clock is whole whoever panicked while holding it.
fn locked(clock: &Mutex<Clock>) -> MutexGuard<'_, Clock> {
    clock.lock().unwrap_or_else(PoisonError::into_inner)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
