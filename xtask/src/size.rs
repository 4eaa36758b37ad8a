//! Sizes as people write them.

use cli_common::size::ParseSizeError;

/// A number of bytes, or of K, M, G: powers of 1,024.
pub(crate) fn parse(text: &str) -> Result<u64, ParseSizeError> {
    cli_common::size::parse(text)
}

/// Bytes as a person would give them: in the largest of these units that leaves nothing over.
pub(crate) fn shown(bytes: u64) -> String {
    match bytes.trailing_zeros() {
        _ if bytes == 0 => "0".to_owned(),
        ..10 => bytes.to_string(),
        10..20 => format!("{}K", bytes >> 10),
        _ => format!("{}M", bytes >> 20),
    }
}

#[cfg(test)]
mod tests {
    use super::{parse, shown};

    #[test]
    fn sizes_take_powers_of_1024() {
        assert_eq!(parse("4096"), Ok(4096));
        assert_eq!(parse("128M"), Ok(128 << 20));
        assert_eq!(parse("2g"), Ok(2 << 30));
        for wrong in ["", "M", "-1", "99999999999G", "1é"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_size_is_shown_as_it_was_given() {
        for size in ["0", "3", "1023", "4K", "1025K", "100M", "2048M"] {
            assert_eq!(shown(parse(size).unwrap()), size);
        }
    }
}
