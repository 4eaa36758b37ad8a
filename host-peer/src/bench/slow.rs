//! A host that takes its time over each stamp, so that a run can be seen to notice it.

use std::time::{Duration, Instant};

use proto::wait::{WaitCounts, WaitError, Waiter};

/// What each wait takes besides.
const EXTRA: Duration = Duration::from_micros(50);

/// Another way to wait, and then some.
pub(super) struct Slow<W>(pub(super) W);

impl<W: Waiter> Waiter for Slow<W> {
    fn prepare(&mut self) {
        self.0.prepare();
    }

    fn wait<T, E>(
        &mut self,
        look: impl FnMut() -> Option<T>,
        idle: impl FnMut() -> Result<(), E>,
    ) -> Result<T, WaitError<E>> {
        let found = self.0.wait(look, idle);
        let start = Instant::now();
        while start.elapsed() < EXTRA {
            std::hint::spin_loop();
        }
        found
    }

    fn counts(&self) -> WaitCounts {
        self.0.counts()
    }
}
