//! The embedded font, `DejaVu` Sans: it renders the text of the PNG, and its glyph widths determine the layout. An SVG
//! viewer without it falls back to a narrower font, which fits as well.

use std::sync::LazyLock;

use skrifa::instance::{LocationRef, Size};
use skrifa::{FontRef, MetadataProvider};

/// Font families in order of preference. Verdana has the same proportions.
pub(crate) const FAMILY: &str = "DejaVu Sans, Verdana, Helvetica, Arial, sans-serif";

/// Font files: regular and bold.
pub(crate) fn files() -> [&'static [u8]; 2] {
    [dejavu::sans::regular(), dejavu::sans::bold()]
}

static FONTS: LazyLock<[Option<FontRef<'static>>; 2]> = LazyLock::new(|| files().map(|file| FontRef::new(file).ok()));

/// Width of an unknown glyph, relative to the font size.
const UNKNOWN: f64 = 0.6;

/// Width of a line of text in pixels.
pub(crate) fn width(text: &str, size: f64, bold: bool) -> f64 {
    let Some(font) = &FONTS[usize::from(bold)] else { return text.chars().count() as f64 * UNKNOWN * size };
    let (letters, widths) = (font.charmap(), font.glyph_metrics(Size::new(1.0), LocationRef::default()));
    let advance = |letter: char| widths.advance_width(letters.map(letter)?);
    text.chars().map(|letter| advance(letter).map_or(UNKNOWN, f64::from) * size).sum()
}

/// Truncates text to `max` pixels, with an ellipsis.
pub(crate) fn fitted(text: &str, size: f64, bold: bool, max: f64) -> String {
    // Untrusted text may have any length; no line has room for more.
    let short: String = text.chars().take(400).collect();
    if short.len() == text.len() && width(text, size, bold) <= max {
        return short;
    }
    let room = max - width("…", size, bold);
    let mut taken = 0.0;
    let kept: String = short
        .chars()
        .take_while(|letter| {
            taken += width(letter.encode_utf8(&mut [0; 4]), size, bold);
            taken <= room
        })
        .collect();
    kept + "…"
}

/// Breaks text between words into lines of at max `max` pixels.
pub(crate) fn wrapped(text: &str, size: f64, max: f64) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    // Splits at ordinary spaces only: a no-break space keeps a number and its unit together.
    for word in text.split([' ', '\n', '\t']).filter(|word| !word.is_empty()) {
        let word = fitted(word, size, false, max);
        match lines.last_mut() {
            Some(line) if width(line, size, false) + width(&word, size, false) + size * 0.35 <= max => {
                line.push(' ');
                line.push_str(&word);
            }
            _ => lines.push(word),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_match_the_font() {
        // From the font's `hmtx` table: i is 569 and W 2025 of 2048 units wide.
        assert!((width("i", 2048.0, false) - 569.0).abs() < 1.0, "{}", width("i", 2048.0, false));
        assert!((width("W", 2048.0, false) - 2025.0).abs() < 1.0, "{}", width("W", 2048.0, false));
        assert!(width("poll", 12.0, true) > width("poll", 12.0, false));
    }

    #[test]
    fn truncates_text_of_any_length() {
        for text in ["short", &"long ".repeat(100_000), "", "\u{10ffff}\u{0}"] {
            assert!(width(&fitted(text, 12.0, false, 80.0), 12.0, false) <= 80.0);
        }
        assert_eq!(fitted("short", 12.0, false, 80.0), "short");
    }

    #[test]
    fn wraps_within_width_and_keeps_every_word() {
        let text = "one two three four five six seven eight nine ten";
        let lines = wrapped(text, 12.0, 90.0);
        assert!(lines.len() > 2 && lines.iter().all(|line| width(line, 12.0, false) <= 90.0), "{lines:?}");
        assert_eq!(lines.join(" "), text);
    }
}
