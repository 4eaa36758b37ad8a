//! Sizes as people write them.

/// A number with K, M or G, powers of 1,024.
pub(crate) fn parse(text: &str) -> Result<u64, String> {
    let unit = text.chars().last().unwrap_or(' ').to_ascii_uppercase();
    let shift = match unit {
        'K' => 10,
        'M' => 20,
        'G' => 30,
        _ => 0,
    };
    let digits = if shift == 0 { text } else { &text[..text.len() - 1] };
    let number: u64 = digits.parse().map_err(|_| "a number of bytes, with K, M or G if wanted".to_owned())?;
    number.checked_mul(1 << shift).filter(|n| *n > 0).ok_or_else(|| "between 1 byte and 16 EiB".to_owned())
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn sizes_take_powers_of_1024() {
        assert_eq!(parse("4096"), Ok(4096));
        assert_eq!(parse("128M"), Ok(128 << 20));
        assert_eq!(parse("2g"), Ok(2 << 30));
        for wrong in ["", "M", "-1", "0", "1.5G", "99999999999G", "1é"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
