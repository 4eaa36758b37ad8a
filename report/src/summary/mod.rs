//! What a run says on the terminal: the answer in its first line, the cells as a table, and at the end how far to
//! trust it. At most 40 lines of 100 columns; the rest is in the report.

mod counters;
mod drivers;
mod findings;
mod line;
pub(crate) mod table;

pub(crate) mod text;

use std::collections::BTreeMap;

pub use self::drivers::driver_table;
use self::line::{Line, Tone};
use self::text::wrapped;
use crate::compare::Comparison;
use crate::figure::Figure;
use crate::frame_size::size_name;
use crate::page;
use crate::plan::{Wait, Workload};
use crate::result::{Cell, RunResult, SelfCheck, Verdict};
use crate::stats::Word;
use crate::streams;
use crate::units::{acceleration, counted, duration, speed};

/// Lines of a summary, the one with the report's path included.
const MOST_LINES: usize = 40;

/// Cells that are shown however much there is to say besides.
const LEAST_CELLS: usize = 8;

/// Lines that one failed check may take.
const LINES_EACH: usize = 2;

/// From here on a failed check gets one line, so that all are named.
const MANY_FAILED: usize = 6;

/// Lines that one warning may take: its cure comes last and must not be cut off.
const LINES_PER_WARNING: usize = 3;

/// The summary, with a line end after each line.
#[must_use]
pub fn summary(result: &RunResult) -> String {
    lines(result).into_iter().map(|line| line.text + "\n").collect()
}

/// The same with a terminal's escapes. Whoever prints it takes them out where nobody wants colours.
#[must_use]
pub fn styled_summary(result: &RunResult) -> String {
    lines(result).iter().map(|line| line.styled() + "\n").collect()
}

fn lines(result: &RunResult) -> Vec<Line> {
    let doubt = if result.passed() { Tone::Answer } else { Tone::Bad };
    let mut head = doubt.on(wrapped(&answer(result), 3));
    head.push(Line::plain(String::new()));
    let mut end = vec![Line::plain(String::new())];
    end.extend(self_checks(result));
    let label = wrapped(&label(&result.environment.accel), 1);
    let all_rows: Vec<&Cell> = result.cells.iter().filter(|cell| has_row(cell)).collect();
    let mut tail = Tone::Aside.on(legend(result));

    // What is least of the table comes first, then the remarks, and what is left is for more of the table. One line stays for
    // what is said of the cells that are left out, one for the warnings, one for the label, and one for whoever prints the
    // summary to say where the rest is.
    let others = head.len() + tail.len() + end.len() + table::HEAD_LINES + all_rows.len().min(LEAST_CELLS) + 4;
    tail.extend(fitting(remarks(result), MOST_LINES.saturating_sub(others)));
    tail.extend(end);
    let taken = head.len() + tail.len() + 1;

    let room = (MOST_LINES - 3).saturating_sub(taken + table::HEAD_LINES).max(LEAST_CELLS);
    let rows = &all_rows[..all_rows.len().min(room)];
    let mut lines = head;
    if !rows.is_empty() {
        lines.extend(table::lines(rows).into_iter().enumerate().map(|(index, text)| {
            let tone = if index < table::HEAD_LINES { Tone::Aside } else { Tone::Plain };
            Line { text, tone }
        }));
    }
    let told = rows.len() + result.cells.iter().filter(|cell| findings::tells(cell)).count();
    if told < result.cells.len() {
        let left = result.cells.len() - told;
        let cells = if left == 1 { "cell" } else { "cells" };
        let text = format!("and {left} more {cells} in {}", page::FILE_NAME);
        lines.push(Line { text, tone: Tone::Aside });
    }
    lines.extend(tail);
    let room = (MOST_LINES - 2).saturating_sub(lines.len());
    lines.extend(Tone::Warning.on(warnings(result, room)));
    lines.extend(Tone::Aside.on(label));
    lines
}

/// What there is to say besides the table, remark by remark, the most asked for first.
fn remarks(result: &RunResult) -> Vec<Vec<Line>> {
    let figures = speeds(result).into_iter().chain(findings::remarks(result)).map(|lines| Tone::Plain.on(lines));
    let asides = [memory(result), counters::line(result).into_iter().collect()];
    figures.chain(asides.map(|lines| Tone::Aside.on(lines))).filter(|lines| !lines.is_empty()).collect()
}

/// As many remarks as fit, whole, and how many do not.
fn fitting(remarks: Vec<Vec<Line>>, room: usize) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    let count = remarks.len();
    for (position, remark) in remarks.into_iter().enumerate() {
        let is_last = position + 1 == count;
        if lines.len() + remark.len() + usize::from(!is_last) > room {
            let left = counted((count - position) as u64, "more remark");
            lines.push(Line { text: format!("and {left} in {}", page::FILE_NAME), tone: Tone::Aside });
            break;
        }
        lines.extend(remark);
    }
    lines
}

/// Cells that the table shows; others have a line of their own, or are the same again under other conditions.
fn has_row(cell: &Cell) -> bool {
    !findings::tells(cell) && !cell.conditions.cold && !cell.conditions.again && !cell.conditions.stamped
}

/// The run's answer in one sentence.
pub(crate) fn answer(result: &RunResult) -> String {
    let failed = result.self_checks.iter().filter(|check| check.pass == Verdict::Fail).count() as u64;
    let doubt = match failed {
        0 => String::new(),
        _ => format!("not to be trusted, {} failed: ", counted(failed, "self-check")),
    };
    // A storm has one latency, which says little.
    let comparisons = || result.comparisons.iter().filter(|comparison| comparison.workload != Workload::Storm);
    let compared = comparisons()
        .find(|comparison| comparison.mode == Wait::Irq.to_string() && comparison.baseline != comparison.mode)
        .or(comparisons().next())
        .and_then(|comparison| compared(result, comparison));
    let answer = compared
        .or_else(|| result.cells.iter().filter(|cell| cell.workload != Workload::Storm).find_map(alone))
        .or_else(|| streamed(result))
        .or_else(|| stormed(result))
        .or_else(|| idled(result))
        .or_else(|| copied(result))
        .unwrap_or_else(|| "no operation ended ok, so there is no figure".to_owned());
    doubt + &answer
}

fn compared(result: &RunResult, comparison: &Comparison) -> Option<String> {
    let (this, base) = comparison.cells(&result.cells)?;
    let difference = comparison.p50_difference_ns? as f64;
    let verb = if difference < 0.0 { "saves" } else { "costs" };
    let cores = this
        .cpu
        .cores
        .zip(base.cpu.cores)
        .map_or(String::new(), |(this, base)| format!(" and takes {this:.1} cores, not {base:.1}"));
    let apart = match comparison.word {
        Word::NoDifferenceSeen => format!("no difference seen, {}", doing(this)),
        Word::Unknown => format!("too little was measured to tell them apart, {}", doing(this)),
        Word::Faster | Word::Slower => format!("{} {verb} {}", doing(this), duration(difference.abs())),
    };
    let cores = match comparison.word {
        Word::Faster | Word::Slower => cores,
        Word::NoDifferenceSeen | Word::Unknown => cores.replacen(" and", "", 1),
    };
    let again = if comparison.conditions.again { " again" } else { "" };
    let crowd = if comparison.workload == Workload::Contention {
        format!(" ({})", comparison.conditions)
    } else {
        String::new()
    };
    let (base, mode, this) = (alone_at_median(base)?, &this.mode, duration(median(this)?));
    Some(format!("{base}, {mode}{again} in {this} at p50{}{crowd}: {apart}{cores}", since(comparison.figure)))
}

/// What a way to wait does that polling does not.
fn doing(cell: &Cell) -> String {
    match (cell.host_wait, cell.guest_wait) {
        (Wait::Irq, Wait::Irq) => "blocking".to_owned(),
        _ => cell.mode.clone(),
    }
}

/// A run of nothing but streams, which have no latency: the fastest of each mode.
fn streamed(result: &RunResult) -> Option<String> {
    let cells = streams::fastest(result.cells.iter().filter(|cell| cell.workload == Workload::Stream));
    let told: Vec<String> = cells.iter().map(|(cell, rate)| format!("{} {}", cell.mode, speed(*rate))).collect();
    (!told.is_empty()).then(|| format!("through a ring of slots go at most: {}", told.join(", ")))
}

/// A run of nothing but storms, whose one latency says little: what became of most doorbells.
fn stormed(result: &RunResult) -> Option<String> {
    let storms = result.cells.iter().filter(|cell| cell.workload == Workload::Storm);
    let (cell, interrupts) = storms
        .filter_map(|cell| Some((cell, cell.counters.interrupts.filter(|count| *count > 0)?)))
        .max_by_key(|(cell, interrupts)| cell.counters.rings / interrupts)?;
    let seen = if cell.traffic.as_ref()?.last_seen { "was" } else { "was not" };
    let became = counted(interrupts, "interrupt");
    Some(format!("{} became {became}, and the last message {seen} seen", counted(cell.counters.rings, "doorbell")))
}

/// A run of nothing but idling.
fn idled(result: &RunResult) -> Option<String> {
    let idle = result.cells.iter().filter(|cell| cell.workload == Workload::Idle);
    let told: Vec<String> =
        idle.filter_map(|cell| Some(format!("{} keeps {:.2} cores busy", cell.mode, cell.cpu.cores?))).collect();
    (!told.is_empty()).then(|| format!("while nothing comes, {}", told.join(", ")))
}

/// A run that was to measure the machine alone.
fn copied(result: &RunResult) -> Option<String> {
    let is_all = result.cells.is_empty() && result.self_checks.iter().all(|check| check.pass != Verdict::Fail);
    let largest = result.ceilings.iter().max_by_key(|both| both.size_bytes).filter(|_| is_all)?;
    let [host, guest] = [largest.host, largest.guest].map(|side| speed(side.heap_to_heap));
    Some(format!("no messages; the host copies {host}, the guest {guest}"))
}

/// A cell that is compared with none.
fn alone(cell: &Cell) -> Option<String> {
    Some(format!("{} at p50{} of {}", alone_at_median(cell)?, since(cell.figure()), counted(cell.n, "operation")))
}

fn alone_at_median(cell: &Cell) -> Option<String> {
    let (mode, median) = (&cell.mode, duration(median(cell)?));
    Some(match cell.workload {
        Workload::Frame => format!("{mode} moves and verifies a {} frame in {median}", size_name(cell.size_bytes)),
        _ => format!("{mode} answers in {median}"),
    })
}

fn median(cell: &Cell) -> Option<f64> {
    Some(cell.latencies()?.ns.p50? as f64)
}

/// From when on a latency counts, where that is not when the message was sent.
fn since(figure: Figure) -> &'static str {
    if figure == Figure::FromDue { " from when it was due" } else { "" }
}

/// What a dash means, where there is one, and from when on latencies count.
fn legend(result: &RunResult) -> Vec<String> {
    let is_short = |cell: &Cell| cell.latencies().is_none_or(|latencies| latencies.ns.p99.is_none());
    let dashes = result
        .cells
        .iter()
        .filter(|cell| has_row(cell))
        .any(|cell| is_short(cell) || cell.cpu.cores.is_none() || cell.counters.interrupts.is_none());
    let dashes = dashes.then_some("-: not known, or too few samples (p90 takes 10, p99 1,000)");
    let is_due = |cell: &Cell| has_row(cell) && cell.figure() == Figure::FromDue;
    let due = result.cells.iter().any(is_due).then_some("paced, openloop: from when due");
    let told: Vec<&str> = dashes.into_iter().chain(due).collect();
    if told.is_empty() { Vec::new() } else { vec![told.join("; ")] }
}

/// How the guest sees the shared memory.
fn memory(result: &RunResult) -> Vec<String> {
    let environment = &result.environment;
    let Some((load, map)) = environment.bar2_ns_per_load.zip(environment.bar2_map.as_ref()) else { return Vec::new() };
    let copies = [
        (environment.bar2_read_gb_per_s, "out"),
        (environment.bar2_streaming_read_gb_per_s, "out by streaming loads"),
        (environment.bar2_write_gb_per_s, "in"),
    ];
    let copies = copies.into_iter().filter_map(|(gb, way)| Some(format!(", {} {way}", speed(gb? * 1e9))));
    let text = format!("BAR2 through {map}: {load:.1} ns per load{}", copies.collect::<String>());
    wrapped(&text, LINES_EACH)
}

/// A remark per frame size.
fn speeds(result: &RunResult) -> Vec<Vec<String>> {
    let mut by_size: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    for cell in result.cells.iter().filter(|cell| cell.workload == Workload::Frame && has_row(cell)) {
        if let Some(bytes_per_second) = cell.bytes_per_second {
            by_size.entry(cell.size_bytes).or_default().push(format!("{} {}", cell.mode, speed(bytes_per_second)));
        }
    }
    let line = |(size, speeds): (u64, Vec<String>)| {
        wrapped(&format!("frame {} end to end: {}", size_name(size), speeds.join(", ")), LINES_EACH)
    };
    by_size.into_iter().map(line).collect()
}

fn self_checks(result: &RunResult) -> Vec<Line> {
    let count = |verdict| result.self_checks.iter().filter(|check| check.pass == verdict).count();
    let text = format!(
        "self-checks: {} passed, {} failed, {} not applicable",
        count(Verdict::Pass),
        count(Verdict::Fail),
        count(Verdict::NotApplicable)
    );
    let mut lines = vec![Line { text, tone: if result.passed() { Tone::Good } else { Tone::Bad } }];
    let failed: Vec<&SelfCheck> = result.self_checks.iter().filter(|check| check.pass == Verdict::Fail).collect();
    let each = if failed.len() > MANY_FAILED { 1 } else { LINES_EACH };
    let told = failed.iter().flat_map(|check| {
        let SelfCheck { id, name, detail, .. } = check;
        wrapped(&format!("  FAILED {id} {name}: {detail}"), each)
    });
    lines.extend(Tone::Bad.on(told));
    lines
}

fn warnings(result: &RunResult, room: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for (position, warning) in result.warnings.iter().enumerate() {
        let next = wrapped(&format!("warning: {}; {}", warning.message, warning.cure), LINES_PER_WARNING);
        let left = result.warnings.len() - position;
        let needed = next.len() + usize::from(left > 1);
        if lines.len() + needed > room {
            lines.push(format!("{} more in {}", counted(left as u64, "warning"), page::FILE_NAME));
            return lines;
        }
        lines.extend(next);
    }
    lines
}

/// What the figures stand for.
pub(crate) fn label(accel: &str) -> String {
    let words = text::printable(&acceleration(accel));
    if accel == "tcg" { words + ": compares modes, does not predict KVM" } else { words }
}
