//! Counted nouns in messages.

use std::fmt::Display;

/// Formats a number with a noun whose plural adds an s.
#[must_use]
pub fn plural<N: Display + Copy + TryInto<u64>>(number: N, noun: &str) -> String {
    let plural = if number.try_into().is_ok_and(|number| number == 1) { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_is_singular() {
        assert_eq!([0, 1, 2].map(|count| plural(count, "vector")), ["0 vectors", "1 vector", "2 vectors"]);
        assert_eq!(plural(-1_i64, "byte"), "-1 bytes");
    }
}
