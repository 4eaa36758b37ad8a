//! Sizes on a command line: `64M`, `64MiB`, `4096`, `1.5g`, `0x400000`.

use std::fmt;

/// Units: powers of 1,024 in descending order.
const UNITS: [(char, u32); 4] = [('T', 40), ('G', 30), ('M', 20), ('K', 10)];

/// More decimals would overflow the arithmetic.
const MAX_DECIMALS: usize = 26;

/// Not a number with a unit.
const NOT_A_NUMBER: &str =
    "expected a number of bytes, or of K, M, G or T (powers of 1,024), such as 64M, 1.5G, 4096 or 0x400000";

const FRACTION_OF_BYTE: &str = "not a whole number of bytes: write it in a smaller unit, such as 1536K for 1.5M";

/// More than 64 bits.
const TOO_LARGE: &str = "expected less than 16 million terabytes";

/// Parses a size in bytes, or in powers of 1,024 with K, M, G or T, with or without `iB`. B stands for bytes. Same meaning as
/// QEMU's `qemu_strtosz`, except that a fraction of a byte is refused.
///
/// ```
/// use cli_common::size;
///
/// assert_eq!(size::parse("64M"), Ok(64 * 1024 * 1024));
/// assert_eq!(size::parse("4096"), Ok(4096));
/// assert_eq!(size::parse("0x1000"), Ok(4096));
/// assert_eq!(size::parse("1.5K"), Ok(1536));
/// assert!(size::parse("64 MB").is_err());
/// ```
pub fn parse(text: &str) -> Result<u64, &'static str> {
    if let Some(digits) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        // No unit can follow, because B is a digit.
        return whole(digits, 16);
    }
    let text = match text.strip_suffix("iB") {
        // `iB` without a letter is not a unit.
        Some(scaled) if !scaled.ends_with(['K', 'k', 'M', 'm', 'G', 'g', 'T', 't']) => {
            return Err(NOT_A_NUMBER);
        }
        scaled => scaled.unwrap_or(text),
    };
    let last = text.chars().last().ok_or(NOT_A_NUMBER)?;
    let (number, shift) = [('B', 0)]
        .iter()
        .chain(&UNITS)
        .find(|(letter, _)| last.eq_ignore_ascii_case(letter))
        .map_or((text, 0), |&(_, shift)| (&text[..text.len() - 1], shift));
    let (number, decimals) = number.split_once('.').map_or((number, None), |(whole, part)| (whole, Some(part)));
    let bytes = whole(number, 10)?.checked_mul(1 << shift).ok_or(TOO_LARGE)?;
    let fraction = decimals.map_or(Ok(0), |decimals| fraction(decimals, shift))?;
    bytes.checked_add(fraction).ok_or(TOO_LARGE)
}

fn whole(digits: &str, radix: u32) -> Result<u64, &'static str> {
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(radix)) {
        return Err(NOT_A_NUMBER);
    }
    u64::from_str_radix(digits, radix).map_err(|_| TOO_LARGE)
}

/// The bytes of the decimals.
fn fraction(decimals: &str, shift: u32) -> Result<u64, &'static str> {
    if decimals.is_empty() || !decimals.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(NOT_A_NUMBER);
    }
    let decimals = decimals.trim_end_matches('0');
    if decimals.len() > MAX_DECIMALS {
        return Err(FRACTION_OF_BYTE);
    }
    let denominator: u128 = decimals.bytes().map(|_| 10).product();
    // Less than 10^26 · 2^40, which is less than 2^127. Without decimals other than zeros there is no fraction.
    let scaled = decimals.parse::<u128>().unwrap_or(0) << shift;
    if !scaled.is_multiple_of(denominator) {
        return Err(FRACTION_OF_BYTE);
    }
    u64::try_from(scaled / denominator).map_err(|_| TOO_LARGE)
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

/// An approximate number of bytes, rounded down to a unit in which it has at least two digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ApproxBytes(pub u64);

impl fmt::Display for ApproxBytes {
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
        for (text, bytes) in [
            ("3", 3),
            ("2k", 2048),
            ("1M", 1 << 20),
            ("4G", 4 << 30),
            ("1t", 1 << 40),
            ("2KiB", 2048),
            ("1.5GiB", 3 << 29),
        ] {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn bytes_may_be_hexadecimal_or_have_a_unit() {
        for (text, bytes) in [("0x400000", 4 << 20), ("0X1b", 0x1b), ("4096B", 4096), ("8b", 8), ("010", 10)] {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
        assert_eq!(parse("0x10000000000000000"), Err(TOO_LARGE));
    }

    #[test]
    fn fractions_must_be_whole_bytes() {
        for (text, bytes) in [("1.5M", 3 << 19), ("0.25k", 256), ("2.0", 2), ("3.000B", 3)] {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
        for text in ["1.50", "1.3K", "0.1M", "1.00000000000000000000000000000000000000001T"] {
            assert_eq!(parse(text), Err(FRACTION_OF_BYTE), "{text}");
        }
        assert_eq!(parse("16777215.99999904632568359375T"), Ok(u64::MAX - (1 << 20) + 1));
    }

    #[test]
    fn refuses_malformed_sizes() {
        for text in [
            "", "M", "-1", "+1", ".5G", "1.G", "1.5.5G", "1.-5G", "64MB", "64 M", "64iB", "iB", "KiB", "64MiBiB", "0x",
            "0x10M", "0x1.8", "1e3", "é",
        ] {
            assert_eq!(parse(text), Err(NOT_A_NUMBER), "{text}");
        }
        for text in ["18446744073709551616", "16777216T"] {
            assert_eq!(parse(text), Err(TOO_LARGE), "{text}");
        }
    }

    #[test]
    fn prints_exact_and_approximate_sizes() {
        assert_eq!(Bytes(64 << 20).to_string(), "64M");
        assert_eq!(Bytes(1536).to_string(), "1536 bytes");
        assert_eq!(ApproxBytes((23 << 30) + 5).to_string(), "23G");
        assert_eq!(ApproxBytes((3 << 30) + 5).to_string(), "3072M");
    }

    proptest::proptest! {
        #[test]
        fn printed_size_parses_back(number: u16, shift in 0..40_u32) {
            let bytes = u64::from(number) << shift;
            let text = Bytes(bytes).to_string();
            proptest::prop_assert_eq!(parse(text.trim_end_matches(" bytes")), Ok(bytes));
        }
    }
}
