//! One factor for every deadline of a process, for slow machines such as a KVM that interprets guest code.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// The largest factor: deadlines of seconds become hours.
pub const MAX_SCALE: u32 = 1_000;

/// Relaxed: set once, before the first wait, and independent of other data.
static SCALE: AtomicU32 = AtomicU32::new(1);

/// Multiplies every deadline of this process from now on. Values outside 1 to [`MAX_SCALE`] are clamped.
pub fn set_scale(factor: u32) {
    SCALE.store(factor.clamp(1, MAX_SCALE), Ordering::Relaxed);
}

/// A deadline under the factor of this process, which is 1 unless [`set_scale`] was called.
#[must_use]
pub fn scaled(deadline: Duration) -> Duration {
    deadline.saturating_mul(SCALE.load(Ordering::Relaxed))
}

/// The word of the guest's kernel command line that carries the factor.
pub const BOOT_PARAMETER: &str = "ivshmem.timeout_scale";

/// The factor in a kernel command line; `None` if it is missing or not a number.
#[must_use]
pub fn scale_in(command_line: &str) -> Option<u32> {
    let mut values =
        command_line.split_whitespace().filter_map(|word| word.strip_prefix(BOOT_PARAMETER)?.strip_prefix('='));
    values.find_map(|value| value.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scale_is_read_from_the_kernel_command_line() {
        assert_eq!(scale_in("quiet ivshmem.timeout_scale=20 ivshmem.run=respond\n"), Some(20));
        for none in ["", "ivshmem.timeout_scale", "ivshmem.timeout_scale=x", "xivshmem.timeout_scale=2"] {
            assert_eq!(scale_in(none), None, "{none:?}");
        }
    }

    /// The only test of this process that sets the factor.
    #[test]
    fn deadlines_are_scaled_within_limits() {
        assert_eq!(scaled(Duration::from_secs(2)), Duration::from_secs(2));
        for (factor, seconds) in [(0, 2), (20, 40), (u32::MAX, 2_000)] {
            set_scale(factor);
            assert_eq!(scaled(Duration::from_secs(2)), Duration::from_secs(seconds));
        }
        set_scale(1);
    }
}
