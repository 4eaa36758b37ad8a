//! Warnings that clients can cause as often as they connect, or that come again for as long as something is wrong: each is
//! told at once, and then every ten seconds at most, so that nobody fills the log.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How long a warning that was told is not told again.
const SILENCE: Duration = Duration::from_secs(10);

/// When each warning was told, by its words. Those are a few dozen: what they say of a client is in the fields beside them.
#[derive(Debug, Default)]
pub(crate) struct LogThrottle(HashMap<String, Told>);

#[derive(Debug)]
struct Told {
    at: Instant,
    /// How often it was left out since.
    left_out: u64,
}

/// What to do with a warning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Tell it, and how often it was left out, if it was.
    Log(Option<u64>),
    /// Leave it out, or tell it only to those who want to hear each.
    Suppress,
}

impl LogThrottle {
    /// Whose turn it is when the same is to be said once more.
    pub(crate) fn check(&mut self, words: &str, now: Instant) -> Decision {
        match self.0.get_mut(words) {
            Some(told) if now.duration_since(told.at) < SILENCE => {
                told.left_out += 1;
                Decision::Suppress
            }
            Some(told) => {
                told.at = now;
                let left_out = std::mem::take(&mut told.left_out);
                Decision::Log((left_out > 0).then_some(left_out))
            }
            None => {
                self.0.insert(words.into(), Told { at: now, left_out: 0 });
                Decision::Log(None)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_told_at_once_and_the_next_with_the_count_of_those_between() {
        let (mut throttle, start) = (LogThrottle::default(), Instant::now());
        let mut at = |millis| throttle.check("refused", start + Duration::from_millis(millis));
        assert_eq!(at(0), Decision::Log(None));
        for millis in [0, 1, 9_999] {
            assert_eq!(at(millis), Decision::Suppress);
        }
        assert_eq!(at(10_000), Decision::Log(Some(3)));
        assert_eq!(at(10_001), Decision::Suppress);
        assert_eq!(at(60_000), Decision::Log(Some(1)));
        assert_eq!(at(70_000), Decision::Log(None));
    }

    #[test]
    fn one_cause_does_not_silence_another() {
        let (mut throttle, now) = (LogThrottle::default(), Instant::now());
        assert_eq!(throttle.check("all places are taken", now), Decision::Log(None));
        assert_eq!(throttle.check("its user is not allowed", now), Decision::Log(None));
    }
}
