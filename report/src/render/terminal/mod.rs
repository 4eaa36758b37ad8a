//! The terminal summary: the [`Overview`] in at most 40 lines of 100 columns. The reports have the rest.

mod cell_table;
mod drivers;
mod styled_line;

pub use self::drivers::driver_table;
use self::styled_line::{StyledLine, Tone};
use crate::io::file_names::HTML_FILE;
use crate::render::report_doc::{CheckSummary, Note, NoteKind, Overview};
use crate::render::wrap::{WIDTH, elided, wrapped_to};
use crate::result::{RunResult, SelfCheck, Warning};
use bench_model::units::plural;

/// Lines of a summary of [`WIDTH`] columns, including the path of the report, which the caller prints.
const MAX_LINES: usize = 40;

/// The narrowest summary, about the width of the table.
const MIN_WIDTH: usize = 40;

/// Rows of the table that are always shown.
const MIN_ROWS: usize = 8;

/// Lines of the headline. Without results, it includes the reason.
const HEADLINE_LINES: usize = 4;

/// Lines of a note.
const NOTE_LINES: usize = 3;

/// Lines of a warning, including its hint.
const WARNING_LINES: usize = 3;

/// The number of failed checks up to which each gets four lines, and up to which each gets two.
const FEW_FAILED: usize = 2;
const MANY_FAILED: usize = 6;

/// The summary, with a newline after each line.
#[must_use]
pub fn summary(result: &RunResult) -> String {
    summary_within(result, WIDTH)
}

/// The summary for a terminal with this number of columns; 40 to 100 are used.
#[must_use]
pub fn summary_within(result: &RunResult, columns: usize) -> String {
    lines(&Overview::new(result), columns).into_iter().map(|line| line.text + "\n").collect()
}

/// The summary with terminal escape sequences.
#[must_use]
pub fn styled_summary(result: &RunResult) -> String {
    styled_summary_within(result, WIDTH)
}

/// [`summary_within`] with terminal escape sequences.
#[must_use]
pub fn styled_summary_within(result: &RunResult, columns: usize) -> String {
    lines(&Overview::new(result), columns).iter().map(|line| line.styled() + "\n").collect()
}

/// Columns and lines of the terminal.
#[derive(Debug, Clone, Copy)]
struct Dimensions {
    columns: usize,
    lines: usize,
}

impl Dimensions {
    /// A narrow summary has proportionally more lines.
    fn new(columns: usize) -> Self {
        let columns = columns.clamp(MIN_WIDTH, WIDTH);
        Self { columns, lines: MAX_LINES * WIDTH / columns }
    }

    /// The number of lines for text that takes `wide_lines` lines of [`WIDTH`] columns.
    fn scaled(self, wide_lines: usize) -> usize {
        (wide_lines * WIDTH).div_ceil(self.columns)
    }

    fn wrapped(self, text: &str, max: usize) -> Vec<String> {
        wrapped_to(text, self.columns, self.scaled(max))
    }
}

fn lines(overview: &Overview, columns: usize) -> Vec<StyledLine> {
    let size = Dimensions::new(columns);
    let tone = if overview.checks.passed() { Tone::Headline } else { Tone::Bad };
    let mut head = tone.on(size.wrapped(&overview.headline, HEADLINE_LINES));
    head.push(StyledLine::plain(String::new()));
    let mut end = vec![StyledLine::plain(String::new())];
    end.extend(self_checks(&overview.checks, size));
    let label = size.wrapped(&overview.label, 1);
    let row_count = overview.cells.rows.len();
    let mut tail = Tone::Dim.on(overview.legend.iter().flat_map(|text| size.wrapped(text, 1)));

    // Priorities: the minimum of the table, then notes, then more rows. Four lines are reserved: omitted cells, warnings,
    // label, and the path of the report.
    let reserved = head.len() + tail.len() + end.len() + cell_table::HEAD_LINES + row_count.min(MIN_ROWS) + 4;
    tail.extend(fitting(&overview.notes, size, size.lines.saturating_sub(reserved)));
    tail.extend(end);
    let taken = head.len() + tail.len() + 1;

    let free = (size.lines - 3).saturating_sub(taken + cell_table::HEAD_LINES).max(MIN_ROWS);
    let rows = row_count.min(free);
    let mut lines = head;
    if rows > 0 {
        let table = cell_table::lines(&overview.cells, rows, size.columns);
        lines.extend(table.into_iter().enumerate().map(|(index, text)| {
            let tone = if index < cell_table::HEAD_LINES { Tone::Dim } else { Tone::Plain };
            StyledLine { text, tone }
        }));
    }
    let omitted = row_count - rows + overview.omitted_cells;
    if omitted > 0 {
        let text = format!("and {} in {HTML_FILE}", plural(omitted as u64, "more cell"));
        lines.push(StyledLine { text, tone: Tone::Dim });
    }
    lines.extend(tail);
    let free = (size.lines - 2).saturating_sub(lines.len());
    lines.extend(Tone::Warning.on(warnings(&overview.warnings, size, free)));
    lines.extend(Tone::Dim.on(label));
    lines
}

/// As many notes as fit, and the number of the others.
fn fitting(notes: &[Note], size: Dimensions, max: usize) -> Vec<StyledLine> {
    let mut lines: Vec<StyledLine> = Vec::new();
    for (position, note) in notes.iter().enumerate() {
        let next = match note.kind {
            NoteKind::Result | NoteKind::Tabulated => Tone::Plain.on(size.wrapped(&note.text, NOTE_LINES)),
            NoteKind::Environment => Tone::Dim.on(size.wrapped(&note.text, NOTE_LINES)),
        };
        let is_last = position + 1 == notes.len();
        if lines.len() + next.len() + usize::from(!is_last) > max {
            let omitted = plural((notes.len() - position) as u64, "more note");
            lines.push(StyledLine { text: format!("and {omitted} in {HTML_FILE}"), tone: Tone::Dim });
            break;
        }
        lines.extend(next);
    }
    lines
}

fn self_checks(checks: &CheckSummary, size: Dimensions) -> Vec<StyledLine> {
    let tone = if checks.passed() { Tone::Good } else { Tone::Bad };
    let mut lines = vec![StyledLine { text: checks.text.clone(), tone }];
    let max = match checks.failed.len() {
        0..=FEW_FAILED => 4,
        count if count <= MANY_FAILED => 2,
        _ => 1,
    };
    let failed = checks.failed.iter().flat_map(|check| {
        let SelfCheck { id, name, detail, .. } = check;
        let head = format!("  FAILED {id} {name}: ");
        // The reason is often at the end of the detail, so the middle is removed. Line breaks need some space.
        let columns = size.columns.saturating_sub(if max > 1 { 16 } else { 0 });
        let free = (columns * size.scaled(max)).saturating_sub(head.chars().count());
        size.wrapped(&format!("{head}{}", elided(detail, free)), max)
    });
    lines.extend(Tone::Bad.on(failed));
    lines
}

/// As many warnings as fit, with their hints, and the number of the others.
fn warnings(warnings: &[Warning], size: Dimensions, max: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for (position, warning) in warnings.iter().enumerate() {
        let text = format!("warning: {}. Hint: {}", warning.message, warning.hint);
        let next = size.wrapped(&text, WARNING_LINES);
        let remaining = warnings.len() - position;
        if lines.len() + next.len() + usize::from(remaining > 1) > max {
            let more = if position == 0 { "" } else { "more " };
            lines.push(format!("{} in {HTML_FILE}", plural(remaining as u64, &format!("{more}warning"))));
            return lines;
        }
        lines.extend(next);
    }
    lines
}
