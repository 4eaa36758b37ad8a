//! A line of the summary and how much it matters, which a terminal shows by colour.

use anstyle::{AnsiColor, Style};

/// A line, without its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) text: String,
    pub(super) tone: Tone,
}

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    /// The answer.
    Answer,
    /// A figure.
    Plain,
    /// What explains figures.
    Aside,
    /// Something holds.
    Good,
    /// Something does not.
    Bad,
    /// Something to know.
    Warning,
}

impl Tone {
    /// Lines in this tone.
    pub(super) fn on(self, lines: impl IntoIterator<Item = String>) -> Vec<Line> {
        lines.into_iter().map(|text| Line { text, tone: self }).collect()
    }

    /// The sixteen colours alone: their owner has chosen them for his ground.
    fn style(self) -> Style {
        match self {
            Self::Answer => Style::new().bold(),
            Self::Plain => Style::new(),
            Self::Aside => Style::new().dimmed(),
            Self::Good => AnsiColor::Green.on_default(),
            Self::Bad => AnsiColor::Red.on_default().bold(),
            Self::Warning => AnsiColor::Yellow.on_default(),
        }
    }
}

impl Line {
    pub(super) fn plain(text: String) -> Self {
        Self { text, tone: Tone::Plain }
    }

    /// With escapes around the text; none around a plain or an empty one.
    pub(super) fn styled(&self) -> String {
        let style = self.tone.style();
        if self.text.is_empty() { String::new() } else { format!("{style}{}{style:#}", self.text) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_stand_around_what_matters_and_nowhere_else() {
        let line = |tone| Line { text: "words".to_owned(), tone };
        assert_eq!(line(Tone::Plain).styled(), "words");
        assert_eq!(line(Tone::Answer).styled(), "\u{1b}[1mwords\u{1b}[0m");
        assert_eq!(Line { text: String::new(), tone: Tone::Bad }.styled(), "");
    }
}
