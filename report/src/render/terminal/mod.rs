//! The terminal summary: the `Overview` in at most 40 lines of 100 columns. The reports have the rest.

mod drivers;
mod styled_line;

pub use self::drivers::driver_table;
use self::styled_line::{BAD, DIM, GOOD, HEADLINE, PLAIN, StyledLine, WARNING, styled};
use crate::io::file_names::HTML_FILE;
use crate::render::report_doc::{CheckSummary, Note, NoteKind, Overview, Table};
use crate::render::text_table;
use crate::render::wrap::{WIDTH, fitting, wrapped_to};
use crate::result::{RunResult, Warning};
use bench_model::units::plural;

/// Lines of a summary of [`WIDTH`] columns, including the path of the report, which the caller prints.
const MAX_LINES: usize = 40;

/// The narrowest summary, about the width of the table.
const MIN_WIDTH: usize = 40;

/// Rows of the table that are always shown.
const MIN_ROWS: usize = 8;

/// Lines of the table above its rows.
const TABLE_HEAD_LINES: usize = 2;

/// Columns of the table.
const COLUMNS: [&str; 15] = [
    "workload", "size", "mode", "n", "min", "p50", "p90", "p99", "max", "mean", "irqs", "fail", "host/op", "vcpu/op",
    "cores",
];

/// Columns to drop, in this order, until the table fits. The report has all of them.
const DROP_ORDER: [&str; 11] = ["mean", "min", "p90", "max", "vcpu/op", "host/op", "irqs", "fail", "cores", "n", "p99"];

/// Lines of the headline. Without results, it includes the reason.
const HEADLINE_LINES: usize = 4;

/// Lines of the legend: three, or four if it explains all wait modes.
const LEGEND_LINES: usize = 4;

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
    let style = if overview.checks.passed() { HEADLINE } else { BAD };
    let mut head = styled(style, size.wrapped(&overview.headline, HEADLINE_LINES));
    head.extend(styled(PLAIN, [String::new()]));
    let mut end = styled(PLAIN, [String::new()]);
    end.extend(self_checks(&overview.checks, size));
    let label = size.wrapped(&overview.label, 1);
    let row_count = overview.cells.rows.len();
    let mut tail = styled(DIM, overview.legend_of(&COLUMNS).iter().flat_map(|text| size.wrapped(text, LEGEND_LINES)));

    // Priorities: the minimum of the table, then notes, then more rows. Four lines are reserved: omitted cells, warnings,
    // label, and the path of the report.
    let reserved = head.len() + tail.len() + end.len() + TABLE_HEAD_LINES + row_count.min(MIN_ROWS) + 4;
    tail.extend(notes(&overview.notes, size, size.lines.saturating_sub(reserved)));
    tail.extend(end);
    let taken = head.len() + tail.len() + 1;

    let free = (size.lines - 3).saturating_sub(taken + TABLE_HEAD_LINES).max(MIN_ROWS);
    let rows = row_count.min(free);
    let mut lines = head;
    if rows > 0 {
        let mut table = cell_lines(&overview.cells, rows, size.columns).into_iter();
        lines.extend(styled(DIM, table.by_ref().take(TABLE_HEAD_LINES)));
        lines.extend(styled(PLAIN, table));
    }
    let omitted = row_count - rows + overview.omitted_cells;
    if omitted > 0 {
        lines.extend(styled(DIM, [format!("and {} in {HTML_FILE}", plural(omitted as u64, "more row"))]));
    }
    lines.extend(tail);
    let free = (size.lines - 2).saturating_sub(lines.len());
    lines.extend(styled(WARNING, warnings(&overview.warnings, size, free)));
    lines.extend(styled(DIM, label));
    lines
}

/// The first `rows` rows of the table of cells. Drops table columns until a line has at most `width` characters, or no more
/// columns may be dropped.
fn cell_lines(cells: &Table, rows: usize, width: usize) -> Vec<String> {
    let mut table = cells.clone();
    table.rows.truncate(rows);
    let mut table = text_table::compact(table);
    let mut shown: Vec<&str> = COLUMNS.to_vec();
    for dropped in [None].into_iter().chain(DROP_ORDER.map(Some)) {
        shown.retain(|name| Some(*name) != dropped);
        table = table.select(&shown);
        let lines = text_table::lines(&table);
        if lines.iter().all(|line| line.chars().count() <= width) {
            return lines;
        }
    }
    text_table::lines(&table)
}

/// As many notes as fit, and the number of the others.
fn notes(notes: &[Note], size: Dimensions, max: usize) -> Vec<StyledLine> {
    let lines = |note: &Note| {
        let style = match note.kind {
            NoteKind::Result | NoteKind::Tabulated => PLAIN,
            NoteKind::Environment => DIM,
        };
        styled(style, size.wrapped(&note.text, NOTE_LINES))
    };
    fitting(notes.iter().map(lines), max, |position| {
        let omitted = plural((notes.len() - position) as u64, "more note");
        StyledLine { text: format!("and {omitted} in {HTML_FILE}"), style: DIM }
    })
}

fn self_checks(checks: &CheckSummary, size: Dimensions) -> Vec<StyledLine> {
    let max = match checks.failed.len() {
        0..=FEW_FAILED => 4,
        count if count <= MANY_FAILED => 2,
        _ => 1,
    };
    let mut lines = styled(if checks.passed() { GOOD } else { BAD }, [checks.text.clone()]);
    lines.extend(styled(BAD, checks.failed_lines(size.columns, size.scaled(max))));
    lines
}

/// As many warnings as fit, with their hints, and the number of the others.
fn warnings(warnings: &[Warning], size: Dimensions, max: usize) -> Vec<String> {
    let text = |warning: &Warning| format!("warning: {}. Hint: {}", warning.message, warning.hint);
    let items = warnings.iter().map(|warning| size.wrapped(&text(warning), WARNING_LINES));
    fitting(items, max, |position| {
        let more = if position == 0 { "warning" } else { "more warning" };
        format!("{} in {HTML_FILE}", plural((warnings.len() - position) as u64, more))
    })
}
