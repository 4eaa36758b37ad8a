//! Sizes as people write them.

/// A number of bytes, or of K, M, G: powers of 1,024.
pub(crate) fn parse(text: &str) -> Result<u64, String> {
    let parsed = parse_size::Config::new().with_binary().parse_size(text);
    parsed.map_err(|error| format!("{error}; such as 4096, 64M or 1G"))
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn sizes_take_powers_of_1024() {
        assert_eq!(parse("4096"), Ok(4096));
        assert_eq!(parse("128M"), Ok(128 << 20));
        assert_eq!(parse("2g"), Ok(2 << 30));
        for wrong in ["", "M", "-1", "99999999999G", "1é"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
