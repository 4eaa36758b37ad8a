//! Lines of the summary with their terminal style.

use anstyle::{AnsiColor, Style};

// Only the 16 standard colours: terminals adapt them to the background.
pub(super) const HEADLINE: Style = Style::new().bold();
/// Results.
pub(super) const PLAIN: Style = Style::new();
/// Explanations.
pub(super) const DIM: Style = Style::new().dimmed();
/// Passed checks.
pub(super) const GOOD: Style = AnsiColor::Green.on_default();
/// Failed checks.
pub(super) const BAD: Style = AnsiColor::Red.on_default().bold();
pub(super) const WARNING: Style = AnsiColor::Yellow.on_default();

/// A line without its newline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StyledLine {
    pub(super) text: String,
    pub(super) style: Style,
}

/// Lines of one style.
pub(super) fn styled(style: Style, lines: impl IntoIterator<Item = String>) -> Vec<StyledLine> {
    lines.into_iter().map(|text| StyledLine { text, style }).collect()
}

impl StyledLine {
    /// With escape sequences, unless the line is plain or empty.
    pub(super) fn styled(&self) -> String {
        let style = self.style;
        if self.text.is_empty() { String::new() } else { format!("{style}{}{style:#}", self.text) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn styles_only_non_empty_lines() {
        let line = |style| StyledLine { text: "words".to_owned(), style };
        assert_eq!(line(PLAIN).styled(), "words");
        assert_eq!(line(HEADLINE).styled(), "\u{1b}[1mwords\u{1b}[0m");
        assert_eq!(StyledLine { text: String::new(), style: BAD }.styled(), "");
    }
}
