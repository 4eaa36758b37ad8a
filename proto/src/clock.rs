//! The time stamp counter: the one clock that host and guest share.
//!
//! Under TCG and KVM a guest's counter is the host's plus a constant (KVM may scale it as well), so that stamps of both
//! sides lie on one time line once that constant is known. Intel SDM volume 3, "Time-Stamp Counter"; AMD APM volume 2.
#![expect(unsafe_code, reason = "rdtsc and lfence are compiler intrinsics")]

use std::arch::x86_64::{_mm_lfence, _rdtsc};
use std::time::{Duration, Instant};

/// Reads the counter, after every earlier load has its value: a stamp never precedes what it stamps.
#[must_use]
#[inline]
pub fn ticks() -> u64 {
    // SAFETY: both instructions exist on every x86-64 processor and touch no memory.
    unsafe {
        _mm_lfence();
        _rdtsc()
    }
}

/// Ticks at an instant of the system's clock, to measure the counter's rate against.
#[derive(Debug, Clone, Copy)]
pub struct Anchor {
    instant: Instant,
    ticks: u64,
}

impl Anchor {
    /// Takes the pair with the least time between its halves out of a few.
    #[must_use]
    pub fn take() -> Self {
        let one = || {
            let before = ticks();
            let instant = Instant::now();
            let after = ticks();
            (after.wrapping_sub(before), Self { instant, ticks: before.midpoint(after) })
        };
        (0..16).map(|_| one()).min_by_key(|(width, _)| *width).map_or_else(|| one().1, |(_, anchor)| anchor)
    }

    /// The counter's rate in Hz, between this anchor and now. The longer ago the anchor, the better the figure:
    /// a read is off by tens of nanoseconds, so 100 ms give better than one part per million.
    #[must_use]
    pub fn rate_hz(&self) -> f64 {
        let now = Self::take();
        let elapsed = now.instant.duration_since(self.instant).as_secs_f64();
        now.ticks.wrapping_sub(self.ticks) as f64 / elapsed
    }

    /// Waits until the anchor is old enough for a good rate.
    pub fn settle(&self, least: Duration) {
        std::thread::sleep(least.saturating_sub(self.instant.elapsed()));
    }
}

/// A guest's counter against the host's, from handshakes in which the guest stamps between two stamps of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offset {
    /// Guest minus host, in ticks.
    pub ticks: i64,
    /// Half of the handshake's round trip, in ticks: the offset is known to plus or minus this.
    pub bound: u64,
}

impl Offset {
    /// One handshake: the host stamped `sent`, then the guest `seen`, then the host `back`.
    #[must_use]
    pub fn from_handshake(sent: u64, seen: u64, back: u64) -> Self {
        let bound = back.wrapping_sub(sent).div_ceil(2);
        let middle = sent.wrapping_add(back.wrapping_sub(sent) / 2);
        Self { ticks: seen.wrapping_sub(middle).cast_signed(), bound }
    }

    /// The handshake that bounds the offset best: the one with the least round trip.
    #[must_use]
    pub fn best(handshakes: impl IntoIterator<Item = Self>) -> Option<Self> {
        handshakes.into_iter().min_by_key(|h| h.bound)
    }

    /// A guest's stamp on the host's time line.
    #[must_use]
    pub fn to_host(&self, guest_ticks: u64) -> u64 {
        guest_ticks.wrapping_sub(self.ticks.cast_unsigned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counter_never_runs_backwards_on_one_thread() {
        let mut last = ticks();
        for _ in 0..10_000 {
            let now = ticks();
            assert!(now >= last);
            last = now;
        }
    }

    #[test]
    fn an_offset_brings_a_guest_stamp_back_to_the_host() {
        let guest_ahead = Offset::from_handshake(1_000, 50_050, 1_100);
        assert_eq!(guest_ahead, Offset { ticks: 49_000, bound: 50 });
        assert_eq!(guest_ahead.to_host(50_050), 1_050);
        let guest_behind = Offset::from_handshake(1_000_000, 5, 1_000_010);
        assert_eq!(guest_behind.to_host(5), 1_000_005);
    }

    #[test]
    fn the_tightest_handshake_wins() {
        let loose = Offset { ticks: 1, bound: 90 };
        let tight = Offset { ticks: 2, bound: 20 };
        assert_eq!(Offset::best([loose, tight, loose]), Some(tight));
        assert_eq!(Offset::best([]), None);
    }
}
