//! Decides when the next message is sent.

use std::time::Duration;

use bench_model::Arrivals;
use doorbell::tsc::tsc_now;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::round_trip::Sample;

/// In an open loop a sleeping sender wakes up this early and spins the rest: the lateness of a timer would otherwise
/// count as latency of the guest.
const SPIN_MARGIN: Duration = Duration::from_micros(150);

/// A send schedule.
pub(super) trait Pacer {
    /// Waits until the scheduled send time and records it in the sample. Returns the ticks that a blocking sender spun:
    /// CPU time of the instrument.
    fn wait(&mut self, sample: &mut Sample) -> u64;

    /// How many of the next `max` messages, which will not be sent, were scheduled before `now`. 0 in a closed loop.
    fn count_due(&mut self, _now: u64, _max: u64) -> u64 {
        0
    }
}

/// Sends right after the previous acknowledgement.
pub(super) struct BackToBack;

impl Pacer for BackToBack {
    #[inline]
    fn wait(&mut self, _: &mut Sample) -> u64 {
        0
    }
}

/// Waits for a TSC value.
pub(super) struct TscSleeper {
    /// Whether it sleeps; false in poll mode.
    pub(super) sleeps: bool,
    pub(super) ticks_per_ns: f64,
}

impl TscSleeper {
    /// Waits until the counter reaches `due`; sleeps until `early` before it. Returns the ticks spun after a sleep, up
    /// to `due`: later ticks may be preemption.
    fn until(&self, due: u64, early: Duration) -> u64 {
        let mut spun = 0;
        if self.sleeps {
            let left = due.saturating_sub(tsc_now()) as f64 / self.ticks_per_ns;
            let left = Duration::from_secs_f64(left / 1e9).saturating_sub(early);
            if !left.is_zero() {
                std::thread::sleep(left);
            }
            spun = due.saturating_sub(tsc_now());
        }
        while tsc_now() < due {
            std::hint::spin_loop();
        }
        spun
    }
}

/// Sends a fixed time after the previous acknowledgement.
pub(super) struct FixedGap {
    pub(super) sleeper: TscSleeper,
    pub(super) ticks: u64,
}

impl Pacer for FixedGap {
    fn wait(&mut self, sample: &mut Sample) -> u64 {
        sample.due = tsc_now() + self.ticks;
        self.sleeper.until(sample.due, Duration::ZERO)
    }
}

/// Sends at scheduled times that do not depend on acknowledgements.
pub(super) struct OpenLoopSchedule {
    sleeper: TscSleeper,
    arrivals: Arrivals,
    interval: f64,
    due: f64,
    rng: StdRng,
}

impl OpenLoopSchedule {
    /// `rate_per_s` messages per second from now.
    pub(super) fn new(sleeper: TscSleeper, arrivals: Arrivals, rate_per_s: u64, seed: u64) -> Self {
        let interval = 1e9 * sleeper.ticks_per_ns / rate_per_s.max(1) as f64;
        Self { sleeper, arrivals, interval, due: tsc_now() as f64, rng: StdRng::seed_from_u64(seed) }
    }

    /// Scheduled time of the next message.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a time of this run")]
    fn next_due(&mut self) -> u64 {
        self.due += match self.arrivals {
            Arrivals::Fixed => self.interval,
            // An exponential variate by inversion; the argument lies in (0, 1].
            Arrivals::Poisson => -self.interval * (1.0 - self.rng.random::<f64>()).ln(),
        };
        self.due as u64
    }
}

impl Pacer for OpenLoopSchedule {
    fn wait(&mut self, sample: &mut Sample) -> u64 {
        sample.due = self.next_due();
        self.sleeper.until(sample.due, SPIN_MARGIN)
    }

    fn count_due(&mut self, now: u64, max: u64) -> u64 {
        (0..max).take_while(|_| self.next_due() <= now).count() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dues(arrivals: Arrivals) -> Vec<f64> {
        // A counter of one tick per microsecond: every send time has passed.
        let sleeper = TscSleeper { sleeps: false, ticks_per_ns: 0.001 };
        let mut schedule = OpenLoopSchedule::new(sleeper, arrivals, 10_000, 7);
        schedule.due = 0.0;
        let all = (0..20_000).map(|_| {
            let mut sample = Sample::default();
            schedule.wait(&mut sample);
            schedule.due
        });
        all.collect()
    }

    #[test]
    fn fixed_arrivals_have_equal_intervals() {
        let dues = dues(Arrivals::Fixed);
        assert!((dues[19_999] - 2e6).abs() < 1.0, "{}", dues[19_999]);
        assert!(dues.windows(2).all(|pair| (pair[1] - pair[0] - 100.0).abs() < 1e-6));
    }

    #[test]
    fn counts_only_messages_that_were_scheduled() {
        let sleeper = || TscSleeper { sleeps: false, ticks_per_ns: 0.001 };
        let mut schedule = OpenLoopSchedule::new(sleeper(), Arrivals::Fixed, 10_000, 7);
        schedule.due = 0.0;
        // One message every 100 ticks.
        assert_eq!(schedule.count_due(1_050, 50), 10);
        schedule.due = 0.0;
        assert_eq!(schedule.count_due(1_050, 4), 4, "at most the limit");
        assert_eq!(FixedGap { sleeper: sleeper(), ticks: 1 }.count_due(u64::MAX, 50), 0);
    }

    #[test]
    fn reports_spin_ticks_of_blocking_senders_only() {
        // At one tick per nanosecond, 100,000 ticks are too short to sleep.
        let spun = |sleeps| TscSleeper { sleeps, ticks_per_ns: 1.0 }.until(tsc_now() + 100_000, SPIN_MARGIN);
        assert!((1..=100_000).contains(&spun(true)));
        assert_eq!(spun(false), 0);
        assert_eq!(TscSleeper { sleeps: true, ticks_per_ns: 1.0 }.until(0, SPIN_MARGIN), 0, "already passed");
    }

    #[test]
    fn poisson_arrivals_have_exponential_gaps() {
        let dues = dues(Arrivals::Poisson);
        let gaps: Vec<f64> = dues.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let deviation = (gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64).sqrt();
        // For an exponential distribution the two are equal.
        assert!((mean - 100.0).abs() < 3.0 && (deviation - 100.0).abs() < 4.0, "{mean} {deviation}");
        assert!(gaps.iter().all(|gap| *gap >= 0.0));
    }
}
