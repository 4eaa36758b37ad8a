//! Text that fits a terminal and cannot command it.

/// Columns of the summary.
pub(crate) const WIDTH: usize = 100;

/// Without control and direction characters: some words come from the guest, which may lie, also to the terminal.
pub(crate) fn printable(text: &str) -> String {
    let hidden = |c: char| {
        c.is_control() || matches!(c, '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|c| if hidden(c) { ' ' } else { c }).collect()
}

/// [`wrapped_to`] with [`WIDTH`] columns.
pub(crate) fn wrapped(text: &str, most: usize) -> Vec<String> {
    wrapped_to(text, WIDTH, most)
}

/// The text, with its middle left out where it has more than so many characters: the beginning names the subject, and the end
/// often the cause.
pub(crate) fn elided(text: &str, most: usize) -> String {
    let all: Vec<char> = text.chars().collect();
    if all.len() <= most {
        return text.to_owned();
    }
    let (first, last) = (most / 2, (most / 2).saturating_sub(3));
    let head: String = all[..first].iter().collect();
    let tail: String = all[all.len() - last..].iter().collect();
    format!("{} … {}", head.trim_end(), tail.trim_start())
}

/// Breaks text between words into lines of at most `columns` columns, indents all but the first, and cuts off after `most`
/// lines.
pub(crate) fn wrapped_to(text: &str, columns: usize, most: usize) -> Vec<String> {
    const INDENT: &str = "    ";
    let text = printable(text);
    let mut lines = vec![String::new()];
    let indent_of_first: String = text.chars().take_while(|&c| c == ' ').collect();
    lines[0].push_str(&indent_of_first);
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("there is always a line");
        let is_empty = line.trim().is_empty();
        if !is_empty && line.chars().count() + 1 + word.chars().count() > columns {
            lines.push(format!("{INDENT}{word}"));
        } else {
            if !is_empty {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    if lines.len() > most {
        lines.truncate(most);
        if let Some(last) = lines.last_mut() {
            let mut kept: String = last.chars().take(columns - 1).collect();
            // Of a list whole parts are left: half a figure would be read as another one.
            if let Some(end) = kept.rfind("; ") {
                kept.truncate(end + 2);
            }
            *last = kept + "…";
        }
    }
    for line in &mut lines {
        // A word longer than a line is cut.
        if line.chars().count() > columns {
            *line = line.chars().take(columns - 1).chain(['…']).collect();
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_list_that_is_too_long_whole_parts_are_left() {
        let list: Vec<String> = (0..40).map(|number| format!("{number} busy 10.4 ms / 101 µs")).collect();
        let lines = wrapped(&list.join("; "), 2);
        assert_eq!(lines.len(), 2);
        assert!(lines[1].ends_with("101 µs; …") && lines[1].chars().count() <= WIDTH, "{}", lines[1]);
    }

    #[test]
    fn long_text_is_broken_between_words_and_indented() {
        let lines = wrapped(&"word ".repeat(30), 5);
        assert_eq!(lines.len(), 2);
        assert!(lines[0].chars().count() <= WIDTH && lines[1].starts_with("    word"), "{lines:?}");
    }

    #[test]
    fn what_does_not_fit_is_cut_off() {
        let lines = wrapped(&"word ".repeat(300), 2);
        assert!(lines.len() == 2 && lines[1].ends_with('…'), "{lines:?}");
        assert_eq!(wrapped(&"x".repeat(500), 2)[0].chars().count(), WIDTH);
        let full = format!("{} {}", "x".repeat(WIDTH), "y".repeat(WIDTH));
        assert_eq!(
            wrapped(&full, 1),
            [format!("{}…", "x".repeat(WIDTH - 1))],
            "the sign has its place within the line"
        );
    }

    #[test]
    fn long_text_keeps_its_beginning_and_its_end() {
        let text = format!("block 3 failed: {}the disk is full", "and then ".repeat(30));
        let short = elided(&text, 60);
        assert!(short.starts_with("block 3 failed") && short.ends_with("the disk is full"), "{short}");
        assert!(short.chars().count() <= 60, "{}", short.chars().count());
        assert_eq!(elided("short", 60), "short");
    }

    #[test]
    fn nobody_commands_the_terminal() {
        assert_eq!(printable("a\u{1b}[2Jb\r\u{202e}c"), "a [2Jb  c");
    }
}
