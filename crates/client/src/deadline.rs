//! Time as callers give it, a duration, and as loops need it, a point that does not move.

use std::time::{Duration, Instant};

use rustix::event::Timespec;

/// Stands for "for ever" where a duration leads beyond what an [`Instant`] can hold: a hundred years.
const FOR_EVER: Duration = Duration::from_secs(100 * 365 * 86_400);

/// The point at which a timeout that starts now is over.
#[must_use]
pub fn after(timeout: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(timeout).unwrap_or_else(|| now + FOR_EVER)
}

/// The time until a deadline, as poll takes it.
#[must_use]
pub fn remaining(deadline: Instant) -> Timespec {
    let left = deadline.saturating_duration_since(Instant::now());
    Timespec { tv_sec: left.as_secs().try_into().unwrap_or(i64::MAX), tv_nsec: left.subsec_nanos().into() }
}
