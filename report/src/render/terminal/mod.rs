//! The summary on the terminal: the headline first, then a table of the cells, remarks, self-checks and warnings. At most 40
//! lines of 100 columns; the rest is in the report.

pub(crate) mod answer;
mod counters;
mod drivers;
pub(crate) mod findings;
mod line;
pub(crate) mod table;
pub(crate) mod text;

pub(crate) use self::answer::answer;
pub use self::drivers::driver_table;
use self::line::{Line, Tone};
use self::text::{WIDTH, elided, wrapped_to};
use crate::io::file_names::HTML_FILE;
use crate::render::report_doc::checked;
use crate::result::metric::Metric;
use crate::result::{Cell, CheckOutcome, RunResult, SelfCheck};
use bench_model::Workload;
use bench_model::units::{acceleration, plural};

/// Lines of a summary of [`WIDTH`] columns, the one with the report's path included.
const MAX_LINES: usize = 40;

/// The narrowest summary: the table needs about as much.
const NARROWEST: usize = 40;

/// Cells that are always shown.
const MIN_CELLS: usize = 8;

/// Lines of one remark.
pub(crate) const LINES_EACH: usize = 3;

/// Lines of the headline: that of a run without figures has the reason.
const LINES_OF_ANSWER: usize = 4;

/// Failed checks up to which each has the most lines, and up to which each has more than one.
const FEW_FAILED: usize = 2;
const MANY_FAILED: usize = 6;

/// Lines of one warning: its hint comes last and must not be cut off.
const LINES_PER_WARNING: usize = 3;

/// The summary, with a line end after each line.
#[must_use]
pub fn summary(result: &RunResult) -> String {
    summary_within(result, WIDTH)
}

/// The same for a terminal of so many columns; 40 to 100 are used.
#[must_use]
pub fn summary_within(result: &RunResult, columns: usize) -> String {
    lines(result, columns).into_iter().map(|line| line.text + "\n").collect()
}

/// The same with the escapes of a terminal.
#[must_use]
pub fn styled_summary(result: &RunResult) -> String {
    styled_summary_within(result, WIDTH)
}

/// [`summary_within`] with the escapes of a terminal.
#[must_use]
pub fn styled_summary_within(result: &RunResult, columns: usize) -> String {
    lines(result, columns).iter().map(|line| line.styled() + "\n").collect()
}

/// Columns and lines of the terminal.
#[derive(Debug, Clone, Copy)]
struct Room {
    columns: usize,
    lines: usize,
}

impl Room {
    /// A narrow summary has as many more lines as it has fewer columns.
    fn of(columns: usize) -> Self {
        let columns = columns.clamp(NARROWEST, WIDTH);
        Self { columns, lines: MAX_LINES * WIDTH / columns }
    }

    /// So many lines of a wide summary.
    fn times(self, most: usize) -> usize {
        (most * WIDTH).div_ceil(self.columns)
    }

    fn wrapped(self, text: &str, most: usize) -> Vec<String> {
        wrapped_to(text, self.columns, self.times(most))
    }
}

fn lines(result: &RunResult, columns: usize) -> Vec<Line> {
    let room = Room::of(columns);
    let tone = if result.passed() { Tone::Answer } else { Tone::Bad };
    let mut head = tone.on(room.wrapped(&answer(result), LINES_OF_ANSWER));
    head.push(Line::plain(String::new()));
    let mut end = vec![Line::plain(String::new())];
    end.extend(self_checks(result, room));
    let label = room.wrapped(&label(&result.environment.accel), 1);
    let all_rows: Vec<&Cell> = result.cells.iter().filter(|cell| has_row(cell)).collect();
    let mut tail = Tone::Aside.on(legend(result).iter().flat_map(|text| room.wrapped(text, 1)));

    // The least of the table comes first, then the remarks, and the rest is for more of the table. One line stays for the
    // cells that are left out, one for the warnings, one for the label, and one for the path of the report.
    let others = head.len() + tail.len() + end.len() + table::HEAD_LINES + all_rows.len().min(MIN_CELLS) + 4;
    tail.extend(fitting(remarks(result, room), room.lines.saturating_sub(others)));
    tail.extend(end);
    let taken = head.len() + tail.len() + 1;

    let left = (room.lines - 3).saturating_sub(taken + table::HEAD_LINES).max(MIN_CELLS);
    let rows = &all_rows[..all_rows.len().min(left)];
    let mut lines = head;
    if !rows.is_empty() {
        lines.extend(table::lines(rows, room.columns).into_iter().enumerate().map(|(index, text)| {
            let tone = if index < table::HEAD_LINES { Tone::Aside } else { Tone::Plain };
            Line { text, tone }
        }));
    }
    let told = rows.len() + result.cells.iter().filter(|cell| findings::tells(cell)).count();
    if told < result.cells.len() {
        let left = result.cells.len() - told;
        let cells = if left == 1 { "cell" } else { "cells" };
        let text = format!("and {left} more {cells} in {}", HTML_FILE);
        lines.push(Line { text, tone: Tone::Aside });
    }
    lines.extend(tail);
    let left = (room.lines - 2).saturating_sub(lines.len());
    lines.extend(Tone::Warning.on(warnings(result, room, left)));
    lines.extend(Tone::Aside.on(label));
    lines
}

/// The remarks below the table, the most asked for first.
fn remarks(result: &RunResult, room: Room) -> Vec<Vec<Line>> {
    let figures = findings::speeds(result).into_iter().chain(findings::remarks(result));
    let figures = figures.map(|text| Tone::Plain.on(room.wrapped(&text, LINES_EACH)));
    let memory = findings::memory(result).map(|text| Tone::Aside.on(room.wrapped(&text, LINES_EACH)));
    let counters = counters::line(result).map(|text| Tone::Aside.on(room.wrapped(&text, 1)));
    figures.chain(memory).chain(counters).collect()
}

/// As many remarks as fit, whole, and how many do not.
fn fitting(remarks: Vec<Vec<Line>>, room: usize) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    let count = remarks.len();
    for (position, remark) in remarks.into_iter().enumerate() {
        let is_last = position + 1 == count;
        if lines.len() + remark.len() + usize::from(!is_last) > room {
            let left = plural((count - position) as u64, "more remark");
            lines.push(Line { text: format!("and {left} in {}", HTML_FILE), tone: Tone::Aside });
            break;
        }
        lines.extend(remark);
    }
    lines
}

/// Cells that the table shows; others have a line of their own, or repeat one under other conditions.
pub(crate) fn has_row(cell: &Cell) -> bool {
    !findings::tells(cell) && !cell.conditions.cold && !cell.conditions.aa_repeat && !cell.conditions.full_stamps
}

/// The meaning of a dash where there is one, and which rows have corrected latencies.
pub(crate) fn legend(result: &RunResult) -> Option<String> {
    let is_short = |cell: &Cell| cell.latencies().is_none_or(|latencies| latencies.ns.p99.is_none());
    let dashes = result
        .cells
        .iter()
        .filter(|cell| has_row(cell))
        .any(|cell| is_short(cell) || cell.cpu.cores.is_none() || cell.counters.interrupts.is_none());
    let dashes = dashes.then_some("-: unknown, or too few samples (p90 needs 10, p99 1,000)");
    let is_due = |cell: &Cell| has_row(cell) && cell.metric() == Metric::CorrectedLatency;
    let due = result.cells.iter().any(is_due).then_some("paced, openloop: corrected latency");
    let told: Vec<&str> = dashes.into_iter().chain(due).collect();
    (!told.is_empty()).then(|| told.join("; "))
}

fn self_checks(result: &RunResult, room: Room) -> Vec<Line> {
    let text = checked(result);
    let mut lines = vec![Line { text, tone: if result.passed() { Tone::Good } else { Tone::Bad } }];
    let failed: Vec<&SelfCheck> = result.self_checks.iter().filter(|check| check.pass == CheckOutcome::Fail).collect();
    let most = match failed.len() {
        0..=FEW_FAILED => 4,
        count if count <= MANY_FAILED => 2,
        _ => 1,
    };
    let told = failed.iter().flat_map(|check| {
        let SelfCheck { id, name, detail, .. } = check;
        let head = format!("  FAILED {id} {name}: ");
        // The reason is often at the end of the detail: it is shortened in its middle. Breaking lines takes some room.
        let columns = room.columns.saturating_sub(if most > 1 { 16 } else { 0 });
        let left = (columns * room.times(most)).saturating_sub(head.chars().count());
        room.wrapped(&format!("{head}{}", elided(detail, left)), most)
    });
    lines.extend(Tone::Bad.on(told));
    lines
}

fn warnings(result: &RunResult, room: Room, most: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for (position, warning) in result.warnings.iter().enumerate() {
        let text = format!("warning: {}. Hint: {}", warning.message, warning.hint);
        let next = room.wrapped(&text, LINES_PER_WARNING);
        let left = result.warnings.len() - position;
        let needed = next.len() + usize::from(left > 1);
        if lines.len() + needed > most {
            let more = if position == 0 { "" } else { "more " };
            lines.push(format!("{} in {}", plural(left as u64, &format!("{more}warning")), HTML_FILE));
            return lines;
        }
        lines.extend(next);
    }
    lines
}

/// What the figures are good for.
pub(crate) fn label(accel: &str) -> String {
    let words = text::printable(&acceleration(accel));
    if accel == "tcg" { words + ": figures compare modes, they do not predict KVM" } else { words }
}

/// Whether a workload has a line of its own in the remarks.
pub(crate) fn is_message(workload: Workload) -> bool {
    matches!(workload, Workload::Pingpong | Workload::Paced)
}
