//! Sanitizes untrusted strings of the run before maud escapes them.

use crate::render::wrap::printable;

/// Maximum length: untrusted strings must not make the page too large.
const MAX_LENGTH: usize = 4_000;

/// Removes control and direction characters and truncates.
pub(super) fn safe(text: &str) -> String {
    let text = printable(text);
    match text.char_indices().nth(MAX_LENGTH) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// A file name as a relative link: never a scheme, query or fragment.
pub(super) fn link(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'/' | b'~');
    let encoded =
        name.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") });
    format!("./{}", encoded.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removes_direction_characters_and_truncates() {
        assert_eq!(safe("a\u{202e}b\u{0}c"), "a b c");
        assert_eq!(safe(&"x".repeat(9_000)).chars().count(), MAX_LENGTH + 1);
    }

    #[test]
    fn links_are_relative_paths() {
        assert_eq!(link("plots/a.svg"), "./plots/a.svg");
        assert_eq!(link("javascript:alert(1)?#.hgrm"), "./javascript%3Aalert%281%29%3F%23.hgrm");
    }
}
