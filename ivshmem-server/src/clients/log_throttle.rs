//! Limits repeated warnings. Clients can cause some of them with each connection, and would fill the log.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Minimum time between two equal warnings.
const INTERVAL: Duration = Duration::from_secs(10);

/// The last time of each warning, by its text. There are a few dozen texts: details of a client are in the log's fields.
#[derive(Debug, Default)]
pub(crate) struct LogThrottle(HashMap<String, LastLogged>);

#[derive(Debug)]
struct LastLogged {
    at: Instant,
    /// Warnings left out since then.
    left_out: u64,
}

/// Whether to log a warning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Log it, with the number of warnings left out before it, if any.
    Log(Option<u64>),
    /// Leave it out, or log it only with --verbose.
    Suppress,
}

impl LogThrottle {
    pub(crate) fn check(&mut self, text: &str, now: Instant) -> Decision {
        match self.0.get_mut(text) {
            Some(last) if now.duration_since(last.at) < INTERVAL => {
                last.left_out += 1;
                Decision::Suppress
            }
            Some(last) => {
                last.at = now;
                let left_out = std::mem::take(&mut last.left_out);
                Decision::Log((left_out > 0).then_some(left_out))
            }
            None => {
                self.0.insert(text.into(), LastLogged { at: now, left_out: 0 });
                Decision::Log(None)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_the_first_and_later_the_number_left_out() {
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
    fn different_texts_are_independent() {
        let (mut throttle, now) = (LogThrottle::default(), Instant::now());
        assert_eq!(throttle.check("peer limit (16) reached", now), Decision::Log(None));
        assert_eq!(throttle.check("its user is not allowed", now), Decision::Log(None));
    }
}
