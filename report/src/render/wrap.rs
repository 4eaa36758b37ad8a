//! Line wrapping, and removal of control characters from untrusted text.

/// Columns of text reports.
pub(crate) const WIDTH: usize = 100;

/// Replaces control and direction characters by spaces: strings from the guest are untrusted.
pub(crate) fn printable(text: &str) -> String {
    let hidden = |c: char| {
        c.is_control() || matches!(c, '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|c| if hidden(c) { ' ' } else { c }).collect()
}

/// [`wrapped_to`] with [`WIDTH`] columns.
pub(crate) fn wrapped(text: &str, max: usize) -> Vec<String> {
    wrapped_to(text, WIDTH, max)
}

/// Shortens text to `max` characters by removing its middle: the beginning names the subject, the end often the cause.
pub(crate) fn elided(text: &str, max: usize) -> String {
    let chars: Vec<char> = text.chars().collect();
    if chars.len() <= max {
        return text.to_owned();
    }
    let (first, last) = (max / 2, (max / 2).saturating_sub(3));
    let head: String = chars[..first].iter().collect();
    let tail: String = chars[chars.len() - last..].iter().collect();
    format!("{} … {}", head.trim_end(), tail.trim_start())
}

/// Shortens text to `max` characters by removing its end.
pub(crate) fn truncated(text: &str, max: usize) -> String {
    if text.chars().count() <= max { text.to_owned() } else { text.chars().take(max - 1).chain(['…']).collect() }
}

/// As many items as fit into `max` lines. `others` makes a line about the items from a position on, if any is left out.
pub(crate) fn fitting<L>(
    items: impl ExactSizeIterator<Item = Vec<L>>,
    max: usize,
    others: impl FnOnce(usize) -> L,
) -> Vec<L> {
    let count = items.len();
    let mut lines = Vec::new();
    for (position, item) in items.enumerate() {
        if lines.len() + item.len() + usize::from(position + 1 < count) > max {
            lines.push(others(position));
            break;
        }
        lines.extend(item);
    }
    lines
}

/// Breaks text between words into lines of at most `columns` columns and indents all but the first. Truncates after
/// `max` lines.
pub(crate) fn wrapped_to(text: &str, columns: usize, max: usize) -> Vec<String> {
    const INDENT: &str = "    ";
    let text = printable(text);
    let mut lines: Vec<String> = vec![text.chars().take_while(|&c| c == ' ').collect()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("at least one line");
        let is_empty = line.trim().is_empty();
        if !is_empty && line.chars().count() + 1 + word.chars().count() > columns {
            lines.push(format!("{INDENT}{word}"));
        } else {
            line.extend((!is_empty).then_some(" ").into_iter().chain([word]));
        }
    }
    if lines.len() > max {
        lines.truncate(max);
        if let Some(last) = lines.last_mut() {
            let mut kept: String = last.chars().take(columns - 1).collect();
            // Truncate lists between their parts: a truncated number would be misread.
            if let Some(end) = kept.rfind("; ") {
                kept.truncate(end + 2);
            }
            *last = kept + "…";
        }
    }
    // Words may be longer than a line.
    lines.iter().map(|line| truncated(line, columns)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn truncates_lists_between_parts() {
        let list: Vec<String> = (0..40).map(|number| format!("{number} busy 10.4 ms / 101 µs")).collect();
        let lines = wrapped(&list.join("; "), 2);
        assert_eq!(lines.len(), 2);
        assert!(lines[1].ends_with("101 µs; …") && lines[1].chars().count() <= WIDTH, "{}", lines[1]);
    }

    #[test]
    fn wraps_between_words_and_indents() {
        let lines = wrapped(&"word ".repeat(30), 5);
        assert_eq!(lines.len(), 2);
        assert!(lines[0].chars().count() <= WIDTH && lines[1].starts_with("    word"), "{lines:?}");
    }

    #[test]
    fn truncates_after_max_lines() {
        let lines = wrapped(&"word ".repeat(300), 2);
        assert!(lines.len() == 2 && lines[1].ends_with('…'), "{lines:?}");
        assert_eq!(wrapped(&"x".repeat(500), 2)[0].chars().count(), WIDTH);
        let full = format!("{} {}", "x".repeat(WIDTH), "y".repeat(WIDTH));
        assert_eq!(wrapped(&full, 1), [format!("{}…", "x".repeat(WIDTH - 1))], "the ellipsis fits");
    }

    #[test]
    fn elides_the_middle() {
        let text = format!("block 3 failed: {}the disk is full", "and then ".repeat(30));
        let short = elided(&text, 60);
        assert!(short.starts_with("block 3 failed") && short.ends_with("the disk is full"), "{short}");
        assert!(short.chars().count() <= 60, "{}", short.chars().count());
        assert_eq!(elided("short", 60), "short");
    }

    #[test]
    fn truncates_the_end() {
        assert_eq!(truncated(&"x".repeat(50), 44).chars().count(), 44);
        assert_eq!(truncated("64 B", 44), "64 B");
    }

    #[test]
    fn shows_items_that_fit_and_counts_the_others() {
        let items = || ["a", "b", "c"].map(|item| vec![item]).into_iter();
        assert_eq!(fitting(items(), 3, |_| "more"), ["a", "b", "c"]);
        assert_eq!(fitting(items(), 2, |position| ["0", "1", "2"][position]), ["a", "1"]);
    }

    #[test]
    fn removes_control_characters() {
        assert_eq!(printable("a\u{1b}[2Jb\r\u{202e}c"), "a [2Jb  c");
    }
}
