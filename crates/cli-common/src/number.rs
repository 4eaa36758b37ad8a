//! Whole numbers on a command line. Errors name the accepted range.
//!
//! The parsers of the standard library report only `invalid digit found in string`, and clap prints this unchanged.

use std::fmt;
use std::num::IntErrorKind;
use std::ops::{Bound, RangeBounds};

use thiserror::Error;

/// A text that is not a whole number in the range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("expected a whole number{}", Range { min: *min, max: *max, is_too_large: *is_too_large })]
pub struct ParseNumberError {
    /// The smallest accepted number.
    pub min: u64,
    /// The largest accepted number.
    pub max: u64,
    /// Whether the text is a number above `max`.
    pub is_too_large: bool,
}

/// The text of a range. Omits the upper limit if it is only the maximum of the type and was not exceeded.
struct Range {
    min: u64,
    max: u64,
    is_too_large: bool,
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.min, self.max) {
            (min, max) if self.is_too_large => write!(f, " from {min} to {max}"),
            (0, u64::MAX) => Ok(()),
            (min, u64::MAX) => write!(f, " of at least {min}"),
            (min, max) => write!(f, " from {min} to {max}"),
        }
    }
}

/// An unsigned integer type.
pub trait Whole: Copy + TryFrom<u64> + TryInto<u64> {
    /// Its largest value.
    const MAX: u64;
}

macro_rules! whole {
    ($($integer:ty),+) => {
        $(impl Whole for $integer {
            const MAX: u64 = <$integer>::MAX as u64;
        })+
    };
}

whole!(u8, u16, u32, u64, usize);

/// Parses a whole number in the range of the type.
///
/// ```
/// use cli_common::number;
///
/// assert_eq!(number::parse::<u16>("7"), Ok(7));
/// let error = number::parse::<u16>("x").unwrap_err();
/// assert_eq!(error.to_string(), "expected a whole number from 0 to 65535");
/// ```
pub fn parse<T: Whole>(text: &str) -> Result<T, ParseNumberError> {
    parse_between(text, 0, T::MAX)
}

/// A parser of whole numbers in a range.
///
/// ```
/// use cli_common::number;
///
/// let count = number::in_range::<u64>(1..);
/// assert_eq!(count("3"), Ok(3));
/// assert_eq!(count("0").unwrap_err().to_string(), "expected a whole number of at least 1");
/// ```
pub fn in_range<T: Whole>(
    range: impl RangeBounds<T>,
) -> impl Fn(&str) -> Result<T, ParseNumberError> + Clone + Send + Sync + 'static {
    let min = match range.start_bound() {
        Bound::Included(min) => widen(*min),
        Bound::Excluded(below) => widen(*below).saturating_add(1),
        Bound::Unbounded => 0,
    };
    let max = match range.end_bound() {
        Bound::Included(max) => widen(*max),
        Bound::Excluded(above) => widen(*above).saturating_sub(1),
        Bound::Unbounded => T::MAX,
    };
    move |text| parse_between(text, min, max)
}

fn widen(number: impl Whole) -> u64 {
    // All implementing types fit into u64.
    number.try_into().unwrap_or(u64::MAX)
}

fn parse_between<T: Whole>(text: &str, min: u64, max: u64) -> Result<T, ParseNumberError> {
    let parsed = text.parse::<u64>();
    let is_too_large = match &parsed {
        Ok(number) => *number > max,
        Err(error) => *error.kind() == IntErrorKind::PosOverflow,
    };
    let in_range = parsed.ok().filter(|number| (min..=max).contains(number));
    in_range.and_then(|number| T::try_from(number).ok()).ok_or(ParseNumberError { min, max, is_too_large })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_limits_the_range() {
        assert_eq!((parse::<u8>("255"), parse::<u64>("18446744073709551615")), (Ok(255), Ok(u64::MAX)));
        for text in ["", "x", "-1", "1.5", "0x10", "65536", "99999999999999999999", " 1", "1 "] {
            let error = parse::<u16>(text).unwrap_err();
            assert_eq!(error.to_string(), "expected a whole number from 0 to 65535", "{text}");
        }
    }

    #[test]
    fn ranges_may_be_open() {
        let error = |parsed: Result<u64, ParseNumberError>| parsed.unwrap_err().to_string();
        assert_eq!(error(in_range(1..)("0")), "expected a whole number of at least 1");
        assert_eq!(error(parse("x")), "expected a whole number");
        assert_eq!(error(parse("18446744073709551616")), "expected a whole number from 0 to 18446744073709551615");
        assert_eq!(error(in_range(1..=3)("4")), "expected a whole number from 1 to 3");
        assert_eq!(error(in_range(..3)("3")), "expected a whole number from 0 to 2");
        assert_eq!(in_range(1..=3_u16)("3"), Ok(3));
    }
}
