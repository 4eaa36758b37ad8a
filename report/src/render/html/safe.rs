//! Strings of the run on their way into the page. maud escapes what HTML gives a meaning; this takes out what a browser
//! or a reader's eye would be misled by.

use crate::render::terminal::text::printable;

/// Characters of a string that is shown. No figure and no name needs more, and a page must open.
const LONGEST: usize = 4_000;

/// Without control and direction characters, and cut off where it is endless.
pub(super) fn safe(text: &str) -> String {
    let text = printable(text);
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// A file's name as a link from the page: never taken for a scheme, a query or a fragment.
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
    fn text_cannot_turn_around_or_go_on_for_ever() {
        assert_eq!(safe("a\u{202e}b\u{0}c"), "a b c");
        assert_eq!(safe(&"x".repeat(9_000)).chars().count(), LONGEST + 1);
    }

    #[test]
    fn a_name_is_a_path_and_nothing_else() {
        assert_eq!(link("plots/a.svg"), "./plots/a.svg");
        assert_eq!(link("javascript:alert(1)?#.hgrm"), "./javascript%3Aalert%281%29%3F%23.hgrm");
    }
}
