//! `performance_report.txt`: the short text report, at most 120 lines of 100 columns.

use std::collections::BTreeSet;

use super::{heading, item, paragraph};
use crate::io::file_names::{HTML_FILE, TEXT_FILE};
use crate::render::report_doc::{CheckSummary, NoteKind, Overview, ReportDoc, SectionPart, Table};
use crate::render::text_table::{self, compact};
use crate::render::wrap::{WIDTH, fitting, wrapped};
use crate::result::Warning;
use bench_model::units::thousands;

/// Lines of the report.
pub(super) const MAX_LINES: usize = 120;

/// Rows of the latency table.
const MIN_ROWS: usize = 8;
const MAX_ROWS: usize = 30;

/// Lines of the latency section without its rows, of a few warnings, and of the last section.
const AROUND_ROWS: usize = 10 + 9 + 5;

/// Lines of the results.
const MIN_RESULT_LINES: usize = 12;
const MAX_RESULT_LINES: usize = 40;

/// Lines of the section on an incomplete run.
const MAX_MISSING_LINES: usize = 10;

/// The number of failed checks up to which each gets several lines.
const FEW_FAILED: usize = 4;

/// Rows of the contention table.
const MAX_CONTENTION_ROWS: usize = 12;

/// Rows of the peak bandwidth table: two per size.
const MAX_PEAK_ROWS: usize = 8;

/// Lines of one item.
const ITEM_LINES: usize = 3;

/// Lines of the legend: three, or four if it explains all wait modes.
const LEGEND_LINES: usize = 4;

/// The report, line by line.
pub(super) fn lines(doc: &ReportDoc) -> Vec<String> {
    let overview = &doc.overview;
    let mut lines = wrapped(&doc.title, ITEM_LINES);
    lines.push("=".repeat(lines.iter().map(|line| line.chars().count()).max().unwrap_or(0)));
    lines.extend(paragraph(&overview.headline).into_iter().take(ITEM_LINES + 2));
    lines.extend(wrapped(&overview.label, 1));
    section(&mut lines, "Missing", doc.missing.iter().flat_map(|text| short_item(text)).take(MAX_MISSING_LINES));
    let mut rest = Vec::new();
    section(&mut rest, "Contention", contention(doc));
    section(&mut rest, "Peak bandwidth", peak_bandwidth(doc));
    section(&mut rest, "Self-checks", checks(&overview.checks));
    let environment = doc.environment.iter().flat_map(|(name, text)| wrapped(&format!("{name:<6}{text}"), ITEM_LINES));
    section(&mut rest, "Environment", environment);
    // First the results take the space that the other sections and a short latency table leave, then the latency table
    // takes the rest.
    let min_latency = MIN_ROWS.min(overview.cells.rows.len());
    let free = MAX_LINES.saturating_sub(lines.len() + 3 + rest.len() + min_latency + AROUND_ROWS);
    section(&mut lines, "Results", results(doc, free.clamp(MIN_RESULT_LINES, MAX_RESULT_LINES)));
    let free = MAX_LINES.saturating_sub(lines.len() + rest.len() + AROUND_ROWS);
    section(&mut lines, "Latency", latency(overview, free.clamp(MIN_ROWS, MAX_ROWS)));
    lines.extend(rest);
    let free = MAX_LINES.saturating_sub(lines.len() + 8);
    section(&mut lines, "Warnings", warnings(&overview.warnings, free));
    section(&mut lines, "More", more());
    lines
}

fn section(lines: &mut Vec<String>, title: &str, content: impl IntoIterator<Item = String>) {
    let mut content = content.into_iter().peekable();
    heading(lines, title, content.peek().is_some());
    lines.extend(content);
}

fn short_item(text: &str) -> Vec<String> {
    wrapped(&format!("  {text}"), ITEM_LINES)
}

/// The key results without their evidence, then the notes.
fn results(doc: &ReportDoc, max: usize) -> Vec<String> {
    let verdicts = doc.key_results.iter().map(|result| format!("{}: {}", result.question, result.verdict));
    let inconclusive = doc.inconclusive.iter().map(|text| format!("Inconclusive: {text}"));
    let notes = doc.overview.notes.iter().filter(|note| note.kind == NoteKind::Result).map(|note| note.text.clone());
    let lines: Vec<String> =
        verdicts.chain(inconclusive).chain(notes).flat_map(|text| wrapped(&text, ITEM_LINES)).collect();
    truncated(lines, max, "more lines")
}

/// The first `max` lines, with a reference to the HTML report instead of the others.
fn truncated(mut lines: Vec<String>, max: usize, noun: &str) -> Vec<String> {
    if lines.len() > max {
        let omitted = lines.len() - (max - 1);
        lines.truncate(max - 1);
        lines.push(format!("and {} {noun} in {HTML_FILE}", thousands(omitted as u64)));
    }
    lines
}

/// The rows of the overview, with the interval of the median.
fn latency(overview: &Overview, max: usize) -> Vec<String> {
    const COLUMNS: [&str; 12] =
        ["workload", "size", "mode", "n", "p50", "95 % interval", "p90", "p99", "max", "irqs", "CPU/op", "cores"];
    let table = overview.cells.clone().select(&COLUMNS);
    if table.rows.is_empty() {
        return Vec::new();
    }
    let mut lines = first_rows(table, max);
    lines.extend(overview.legend_of(&COLUMNS).iter().flat_map(|text| wrapped(text, LEGEND_LINES)));
    lines.extend(overview.failures.iter().flat_map(|text| wrapped(text, ITEM_LINES)));
    lines
}

/// The first `max` rows in compact form, and the number of the others.
fn first_rows(mut table: Table, max: usize) -> Vec<String> {
    let omitted = table.rows.len().saturating_sub(max);
    table.rows.truncate(max);
    let mut lines = text_table::lines(&compact(table));
    if omitted > 0 {
        lines.push(format!("and {} more in {HTML_FILE}", thousands(omitted as u64)));
    }
    lines
}

fn contention(doc: &ReportDoc) -> Vec<String> {
    const COLUMNS: [&str; 8] =
        ["busy threads", "gap", "poll mean", "irq mean", "lower mean", "poll p50", "irq p50", "lower p50"];
    let [SectionPart::Table(table), ..] = doc.section("contention") else { return Vec::new() };
    if table.id != "table-contention" {
        return Vec::new();
    }
    let mut table = table.clone().select(&COLUMNS);
    let mut reasons: BTreeSet<String> = BTreeSet::new();
    let shown = table.rows.iter_mut().take(MAX_CONTENTION_ROWS);
    for (value, column) in shown.flat_map(|row| row.iter_mut().zip(&table.columns)) {
        if let (true, Some((verdict, _))) = (column.prose, value.text.split_once(": ")) {
            reasons.insert(format!(" {}.", value.text));
            value.text = verdict.to_owned();
        }
    }
    let mut lines = first_rows(table, MAX_CONTENTION_ROWS);
    let note = format!(
        "With a gap: corrected latency. lower: only if significant. bimodal: compare the means.{}",
        reasons.into_iter().collect::<String>()
    );
    lines.extend(wrapped(&note, ITEM_LINES));
    lines
}

fn peak_bandwidth(doc: &ReportDoc) -> Vec<String> {
    const COLUMNS: [&str; 8] = [
        "size",
        "side",
        "heap to heap",
        "heap to region",
        "region to heap",
        "heap read",
        "region read",
        "heap SHA-256",
    ];
    let mut lines = Vec::new();
    for part in doc.section("ceilings") {
        match part {
            SectionPart::Table(table) => {
                let mut table = table.clone().select(&COLUMNS);
                // Sizes are in ascending order: keep the largest.
                table.rows.drain(..table.rows.len().saturating_sub(MAX_PEAK_ROWS));
                lines.extend(text_table::lines(&compact(table)));
            }
            SectionPart::Text(text) => lines.extend(paragraph(text)),
            SectionPart::List(_) | SectionPart::Facts(_) => {}
        }
    }
    lines
}

/// How many checks passed, and the failed ones with their details.
fn checks(checks: &CheckSummary) -> Vec<String> {
    let max = if checks.failed.len() > FEW_FAILED { 1 } else { ITEM_LINES };
    let mut lines = wrapped(&checks.text, 1);
    lines.extend(checks.failed_lines(WIDTH, max));
    lines
}

/// As many warnings as fit, complete with their hints.
fn warnings(warnings: &[Warning], max: usize) -> Vec<String> {
    let items = warnings.iter().map(|warning| item(&format!("{}. Hint: {}.", warning.message, warning.hint)));
    let others = |position| format!("  {} more in {HTML_FILE}", thousands((warnings.len() - position) as u64));
    fitting(items, max.max(1), others)
}

fn more() -> Vec<String> {
    [
        format!("{HTML_FILE}: plots and all tables. result.json: all values. samples.csv: every operation."),
        format!("`cargo xtask report DIR --text-full` prints the long form of {TEXT_FILE}."),
    ]
    .into()
}
