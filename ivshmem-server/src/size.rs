//! How a size is written: `64M`, `4096`, `1g`.

use std::fmt;

use thiserror::Error;

/// The letters for powers of 1,024, from the largest.
const UNITS: [(char, u32); 4] = [('T', 40), ('G', 30), ('M', 20), ('K', 10)];

/// A text that is no size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ParseSizeError {
    /// It is no number with a unit.
    #[error("expected a whole number, alone or followed by K, M, G or T, such as 64M")]
    NotANumber,
    /// The number of bytes does not fit into 64 bits.
    #[error("expected less than 16 million terabytes")]
    TooLarge,
}

/// Reads a size in bytes, or in powers of 1,024 with one of the letters K, M, G, T.
///
/// ```
/// use ivshmem_server::size;
///
/// assert_eq!(size::parse("64M"), Ok(64 * 1024 * 1024));
/// assert_eq!(size::parse("4096"), Ok(4096));
/// assert!(size::parse("64 MB").is_err());
/// ```
pub fn parse(text: &str) -> Result<u64, ParseSizeError> {
    let last = text.chars().last().ok_or(ParseSizeError::NotANumber)?;
    let (digits, shift) = UNITS
        .iter()
        .find(|(letter, _)| last.eq_ignore_ascii_case(letter))
        .map_or((text, 0), |&(_, shift)| (&text[..text.len() - 1], shift));
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(ParseSizeError::NotANumber);
    }
    let number: u64 = digits.parse().map_err(|_| ParseSizeError::TooLarge)?;
    number.checked_mul(1 << shift).ok_or(ParseSizeError::TooLarge)
}

/// A number of bytes, printed with the largest unit that divides it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bytes(pub u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(bytes) = *self;
        let unit = UNITS.iter().find(|(_, shift)| bytes != 0 && bytes.trailing_zeros() >= *shift);
        match unit {
            Some((letter, shift)) => write!(f, "{}{letter}", bytes >> shift),
            None => write!(f, "{bytes} bytes"),
        }
    }
}

/// A number of bytes, printed in the unit nearest to it and rounded down, for what is only measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct About(pub u64);

impl fmt::Display for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(bytes) = *self;
        match UNITS.iter().find(|(_, shift)| bytes >> shift >= 10) {
            Some((letter, shift)) => write!(f, "{}{letter}", bytes >> shift),
            None => write!(f, "{bytes} bytes"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_powers_of_1024_in_either_case() {
        for (text, bytes) in [("3", 3), ("2k", 2048), ("1M", 1 << 20), ("4G", 4 << 30), ("1t", 1 << 40)] {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in ["", "M", "-1", "+1", "1.5G", "64MB", "64 M", "0x10", "é"] {
            assert_eq!(parse(text), Err(ParseSizeError::NotANumber), "{text}");
        }
        for text in ["18446744073709551616", "16777216T"] {
            assert_eq!(parse(text), Err(ParseSizeError::TooLarge), "{text}");
        }
    }

    #[test]
    fn bytes_are_printed_exactly_and_measurements_roughly() {
        assert_eq!(Bytes(64 << 20).to_string(), "64M");
        assert_eq!(Bytes(1536).to_string(), "1536 bytes");
        assert_eq!(About((23 << 30) + 5).to_string(), "23G");
        assert_eq!(About((3 << 30) + 5).to_string(), "3072M");
    }

    proptest::proptest! {
        #[test]
        fn what_is_printed_with_a_unit_reads_back(number: u16, shift in 0..40_u32) {
            let bytes = u64::from(number) << shift;
            let text = Bytes(bytes).to_string();
            proptest::prop_assert_eq!(parse(text.trim_end_matches(" bytes")), Ok(bytes));
        }
    }
}
