//! When the next message is sent.

use std::time::Duration;

use bench_model::Arrivals;
use doorbell::tsc::tsc_now;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::round_trip::Sample;

/// How much earlier than it is due a sleeper gets up in an open loop; the rest it spins, because a timer's lateness would
/// else be taken for the guest's.
const SPIN_MARGIN: Duration = Duration::from_micros(150);

/// Decides when a message is sent.
pub(super) trait Pacer {
    /// Waits until the next message is to be sent, and notes when it was due. Returns for how many ticks it spun although
    /// its block sleeps: CPU time of the instrument, which no sender would spend.
    fn wait(&mut self, sample: &mut Sample) -> u64;

    /// How many of the next `most` messages, which will not be sent any more, were due by `now`. None where a message is due
    /// only after the answer to the one before.
    fn count_due(&mut self, _now: u64, _most: u64) -> u64 {
        0
    }
}

/// As soon as the answer to the one before is there.
pub(super) struct BackToBack;

impl Pacer for BackToBack {
    #[inline]
    fn wait(&mut self, _: &mut Sample) -> u64 {
        0
    }
}

/// Waits on the counter.
pub(super) struct TscSleeper {
    /// Whether it sleeps; who polls does not.
    pub(super) sleeps: bool,
    pub(super) ticks_per_ns: f64,
}

impl TscSleeper {
    /// Waits until the counter stands at `due`, sleeping until `early` before it. Returns the ticks of a sleeper's spin,
    /// which ends at `due`: what comes later it did not ask for, and may have been off its CPU.
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

/// A while after the answer to the one before.
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

/// At times that do not depend on answers.
pub(super) struct OpenLoopSchedule {
    sleeper: TscSleeper,
    arrivals: Arrivals,
    interval: f64,
    due: f64,
    rng: StdRng,
}

impl OpenLoopSchedule {
    /// `rate_per_s` messages per second from now on.
    pub(super) fn new(sleeper: TscSleeper, arrivals: Arrivals, rate_per_s: u64, seed: u64) -> Self {
        let interval = 1e9 * sleeper.ticks_per_ns / rate_per_s.max(1) as f64;
        Self { sleeper, arrivals, interval, due: tsc_now() as f64, rng: StdRng::seed_from_u64(seed) }
    }

    /// When the next message is due.
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

    fn count_due(&mut self, now: u64, most: u64) -> u64 {
        (0..most).take_while(|_| self.next_due() <= now).count() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dues(arrivals: Arrivals) -> Vec<f64> {
        // A counter of one tick per microsecond: everything is long due, and nobody waits.
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
    fn messages_that_were_due_and_are_not_sent_are_counted_and_those_that_were_not_due_are_not() {
        let sleeper = || TscSleeper { sleeps: false, ticks_per_ns: 0.001 };
        let mut schedule = OpenLoopSchedule::new(sleeper(), Arrivals::Fixed, 10_000, 7);
        schedule.due = 0.0;
        // One is due every 100 ticks.
        assert_eq!(schedule.count_due(1_050, 50), 10);
        schedule.due = 0.0;
        assert_eq!(schedule.count_due(1_050, 4), 4, "no more than there are");
        assert_eq!(FixedGap { sleeper: sleeper(), ticks: 1 }.count_due(u64::MAX, 50), 0);
    }

    #[test]
    fn a_sleepers_spin_before_a_message_is_told_and_a_pollers_is_none() {
        // A counter of at least one tick per nanosecond: a hundred thousand are too few to sleep for.
        let spun = |sleeps| TscSleeper { sleeps, ticks_per_ns: 1.0 }.until(tsc_now() + 100_000, SPIN_MARGIN);
        assert!((1..=100_000).contains(&spun(true)));
        assert_eq!(spun(false), 0);
        assert_eq!(TscSleeper { sleeps: true, ticks_per_ns: 1.0 }.until(0, SPIN_MARGIN), 0, "long due");
    }

    #[test]
    fn poisson_arrivals_have_the_rate_and_the_spread_of_independent_senders() {
        let dues = dues(Arrivals::Poisson);
        let gaps: Vec<f64> = dues.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let deviation = (gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64).sqrt();
        // For an exponential distribution the two are equal.
        assert!((mean - 100.0).abs() < 3.0 && (deviation - 100.0).abs() < 4.0, "{mean} {deviation}");
        assert!(gaps.iter().all(|gap| *gap >= 0.0));
    }
}
