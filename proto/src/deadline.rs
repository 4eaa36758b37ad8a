//! Converts timeouts to deadlines and back.

use std::time::{Duration, Instant};

use rustix::event::Timespec;

/// Used where a timeout exceeds the range of [`Instant`].
const HUNDRED_YEARS: Duration = Duration::from_secs(100 * 365 * 86_400);

/// The deadline of a timeout that starts now.
#[must_use]
pub fn after(timeout: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(timeout).unwrap_or_else(|| now + HUNDRED_YEARS)
}

/// The time until a deadline, for poll(2).
#[must_use]
pub fn remaining(deadline: Instant) -> Timespec {
    let left = deadline.saturating_duration_since(Instant::now());
    Timespec { tv_sec: left.as_secs().try_into().unwrap_or(i64::MAX), tv_nsec: left.subsec_nanos().into() }
}
