//! Lines of the summary with their terminal style.

use anstyle::{AnsiColor, Style};

/// A line without its newline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StyledLine {
    pub(super) text: String,
    pub(super) tone: Tone,
}

/// The style of a line by its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    /// The headline.
    Headline,
    /// Results.
    Plain,
    /// Explanations.
    Dim,
    /// Passed checks.
    Good,
    /// Failed checks.
    Bad,
    /// Warnings.
    Warning,
}

impl Tone {
    /// Lines with this tone.
    pub(super) fn on(self, lines: impl IntoIterator<Item = String>) -> Vec<StyledLine> {
        lines.into_iter().map(|text| StyledLine { text, tone: self }).collect()
    }

    /// Only the 16 standard colours: terminals adapt them to the background.
    fn style(self) -> Style {
        match self {
            Self::Headline => Style::new().bold(),
            Self::Plain => Style::new(),
            Self::Dim => Style::new().dimmed(),
            Self::Good => AnsiColor::Green.on_default(),
            Self::Bad => AnsiColor::Red.on_default().bold(),
            Self::Warning => AnsiColor::Yellow.on_default(),
        }
    }
}

impl StyledLine {
    pub(super) fn plain(text: String) -> Self {
        Self { text, tone: Tone::Plain }
    }

    /// With escape sequences, unless the line is plain or empty.
    pub(super) fn styled(&self) -> String {
        let style = self.tone.style();
        if self.text.is_empty() { String::new() } else { format!("{style}{}{style:#}", self.text) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn styles_only_non_empty_lines() {
        let line = |tone| StyledLine { text: "words".to_owned(), tone };
        assert_eq!(line(Tone::Plain).styled(), "words");
        assert_eq!(line(Tone::Headline).styled(), "\u{1b}[1mwords\u{1b}[0m");
        assert_eq!(StyledLine { text: String::new(), tone: Tone::Bad }.styled(), "");
    }
}
