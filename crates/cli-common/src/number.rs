//! Whole numbers on a command line. Errors name the accepted range.
//!
//! The parsers of the standard library report only `invalid digit found in string`, and clap prints this unchanged.

use std::num::IntErrorKind;
use std::ops::RangeInclusive;

/// A parser of whole numbers in a range. Its error omits the largest `u64` as the upper limit unless the number exceeds it.
///
/// ```
/// use cli_common::number;
///
/// let count = number::in_range(1..=u64::MAX);
/// assert_eq!(count("3"), Ok(3));
/// assert_eq!(count("0").unwrap_err(), "expected a whole number of at least 1");
/// assert_eq!(number::in_range(0..=u16::MAX)("x").unwrap_err(), "expected a whole number from 0 to 65535");
/// ```
pub fn in_range<T: Copy + TryFrom<u64> + TryInto<u64>>(
    range: RangeInclusive<T>,
) -> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync + 'static {
    let widen = |number: T| number.try_into().unwrap_or(u64::MAX);
    let (min, max) = (widen(*range.start()), widen(*range.end()));
    move |text| {
        let parsed = text.parse::<u64>();
        let in_range = parsed.as_ref().ok().filter(|number| (min..=max).contains(*number));
        in_range.and_then(|number| T::try_from(*number).ok()).ok_or_else(|| {
            let is_too_large = match &parsed {
                Ok(number) => *number > max,
                Err(error) => *error.kind() == IntErrorKind::PosOverflow,
            };
            match (min, max) {
                (0, u64::MAX) if !is_too_large => "expected a whole number".into(),
                (_, u64::MAX) if !is_too_large => format!("expected a whole number of at least {min}"),
                _ => format!("expected a whole number from {min} to {max}"),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn type_limits_the_range() {
        assert_eq!(
            (in_range(0..=u8::MAX)("255"), in_range(0..=u64::MAX)("18446744073709551615")),
            (Ok(255), Ok(u64::MAX))
        );
        for text in ["", "x", "-1", "1.5", "0x10", "65536", "99999999999999999999", " 1", "1 "] {
            let error = in_range(0..=u16::MAX)(text).unwrap_err();
            assert_eq!(error, "expected a whole number from 0 to 65535", "{text}");
        }
    }

    #[test]
    fn ranges_may_be_open() {
        let error = |range, text: &str| in_range::<u64>(range)(text).unwrap_err();
        assert_eq!(error(1..=u64::MAX, "0"), "expected a whole number of at least 1");
        assert_eq!(error(0..=u64::MAX, "x"), "expected a whole number");
        let too_large = "expected a whole number from 0 to 18446744073709551615";
        assert_eq!(error(0..=u64::MAX, "18446744073709551616"), too_large);
        assert_eq!(error(1..=3, "4"), "expected a whole number from 1 to 3");
        assert_eq!(in_range(1..=3_u16)("3"), Ok(3));
    }
}
