//! Durations on a command line: a number with a unit, such as `500ms` or `5s`.
//!
//! The units are those of [`humantime`]: ns, us, ms, s, m, h and longer ones, also combined (`1m 30s`).

use std::time::Duration;

/// Not a number with a unit.
const MALFORMED: &str = "expected a duration with a unit, such as 5s or 500ms";

/// Zero, or not a number with a unit, where zero is not allowed.
const NOT_ABOVE_ZERO: &str = "expected a duration above zero with a unit, such as 5s or 500ms";

/// Too long, or not a whole number of nanoseconds.
const OUT_OF_RANGE: &str = "expected a duration from 1ns to 500 years";

/// Parses a duration. Zero is allowed, and needs no unit.
///
/// ```
/// use std::time::Duration;
/// use cli_common::duration;
///
/// assert_eq!(duration::parse("500ms"), Ok(Duration::from_millis(500)));
/// assert_eq!(duration::parse("0"), Ok(Duration::ZERO));
/// assert!(duration::parse("5").is_err());
/// ```
pub fn parse(text: &str) -> Result<Duration, &'static str> {
    humantime::parse_duration(text).map_err(|error| match error {
        humantime::DurationError::NumberOverflow => OUT_OF_RANGE,
        _ => MALFORMED,
    })
}

/// Parses a duration that must be above zero, such as a timeout.
///
/// ```
/// use cli_common::duration;
///
/// assert!(duration::parse_above_zero("5s").is_ok());
/// assert!(duration::parse_above_zero("0s").is_err());
/// ```
pub fn parse_above_zero(text: &str) -> Result<Duration, &'static str> {
    match parse(text) {
        Ok(Duration::ZERO) | Err(MALFORMED) => Err(NOT_ABOVE_ZERO),
        parsed => parsed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_a_unit() {
        for (text, expected) in [
            ("7ns", Duration::from_nanos(7)),
            ("20us", Duration::from_micros(20)),
            ("1.5ms", Duration::from_micros(1500)),
            ("5s", Duration::from_secs(5)),
            ("1m 30s", Duration::from_secs(90)),
            ("0s", Duration::ZERO),
        ] {
            assert_eq!(parse(text), Ok(expected), "{text}");
        }
        for text in ["", " ", "5", "-1s", "s", "5x", "never", "1e3s", "5 s 3", "٣s"] {
            assert_eq!(parse(text), Err(MALFORMED), "{text}");
        }
    }

    #[test]
    fn refuses_zero_only_above_zero() {
        for text in ["0", "0s", "0.0ms", "5", ""] {
            assert_eq!(parse_above_zero(text), Err(NOT_ABOVE_ZERO), "{text}");
        }
        assert_eq!(parse_above_zero("1ns"), Ok(Duration::from_nanos(1)));
    }

    #[test]
    fn too_long_and_too_fine_durations_name_the_range() {
        for text in ["99999999999999999999s", "18446744073709551615years", "0.5ns"] {
            assert_eq!(parse(text), Err(OUT_OF_RANGE), "{text}");
            assert_eq!(parse_above_zero(text), Err(OUT_OF_RANGE), "{text}");
        }
        assert!(parse("500years").is_ok());
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text: String) {
            let _ = parse(&text);
        }

        #[test]
        fn formatted_duration_parses_back(ns: u64) {
            let duration = Duration::from_nanos(ns);
            proptest::prop_assert_eq!(parse(&humantime::format_duration(duration).to_string()), Ok(duration));
        }
    }
}
