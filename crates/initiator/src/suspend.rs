//! Time for which the machine was suspended: `CLOCK_BOOTTIME` goes on meanwhile and `CLOCK_MONOTONIC` does not
//! ([clock_gettime(2)](https://man7.org/linux/man-pages/man2/clock_gettime.2.html)).

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// How long the machine had been suspended since boot when this was created.
#[derive(Debug, Clone, Copy)]
pub(super) struct SuspendClock(Duration);

impl SuspendClock {
    pub(super) fn start() -> Self {
        Self(suspended())
    }

    /// Nanoseconds for which the machine was suspended since. A thread that is preempted between the two readings adds
    /// that time: readers ignore less than a tenth of a second.
    pub(super) fn elapsed_ns(self) -> u64 {
        u64::try_from(suspended().saturating_sub(self.0).as_nanos()).unwrap_or(u64::MAX)
    }
}

fn suspended() -> Duration {
    let read = |clock| clock_gettime(clock).map_or(Duration::ZERO, Duration::from);
    let monotonic = read(ClockId::CLOCK_MONOTONIC);
    read(ClockId::CLOCK_BOOTTIME).saturating_sub(monotonic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machine_that_is_awake_was_not_suspended() {
        let clock = SuspendClock::start();
        std::thread::sleep(Duration::from_millis(20));
        // Sleeping alone must not count; the bound is that of readers.
        assert!(clock.elapsed_ns() < 100_000_000);
    }
}
