//! Time that the machine was suspended: `CLOCK_BOOTTIME` advances during suspend, `CLOCK_MONOTONIC` does not
//! ([clock_gettime(2)](https://man7.org/linux/man-pages/man2/clock_gettime.2.html)).

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// Suspend time since boot at the start of a measurement.
#[derive(Debug, Clone, Copy)]
pub(super) struct SuspendClock(Duration);

impl SuspendClock {
    pub(super) fn start() -> Self {
        Self(suspended())
    }

    /// Nanoseconds of suspend time since the start. Preemption between the two readings adds to it: readers ignore
    /// values below 0.1 s.
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
    fn sleep_is_not_suspend() {
        let clock = SuspendClock::start();
        std::thread::sleep(Duration::from_millis(20));
        // Sleep must not count; the limit is that of readers.
        assert!(clock.elapsed_ns() < 100_000_000);
    }
}
