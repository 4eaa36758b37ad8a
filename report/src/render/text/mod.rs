//! `performance_report.txt`, the short text report, and its long form: the [`ReportDoc`] in 100 columns.

mod short;

use std::path::Path;

use crate::io::run::Run;
use crate::render::report_doc::{KeyResult, RESULTS, ReportDoc, RunFiles, Section, SectionPart, Table};
use crate::render::text_table::split_lines;
use crate::render::wrap::wrapped;
use crate::result::RunResult;

/// The short report, with a newline after each line.
#[must_use]
pub fn short(doc: &ReportDoc) -> String {
    short::lines(doc).join("\n") + "\n"
}

/// The long form of the report on the run in `dir`.
#[must_use]
pub fn full(result: &RunResult, run: &Run, dir: &Path) -> String {
    text(&ReportDoc::new(result, run, &RunFiles::scan(dir)))
}

/// The long form, with a newline after each line.
#[must_use]
pub fn text(doc: &ReportDoc) -> String {
    let mut lines = paragraph(&doc.title);
    lines.push("=".repeat(lines.iter().map(|line| line.chars().count()).max().unwrap_or(0)));
    lines.extend(paragraph(&doc.overview.headline));
    lines.extend(paragraph(&doc.overview.checks.text));
    lines.extend(paragraph(&doc.overview.label));
    if !doc.machine.is_empty() {
        lines.extend(paragraph(&doc.machine));
    }
    heading(&mut lines, "Missing", !doc.missing.is_empty());
    lines.extend(doc.missing.iter().flat_map(|text| item(text)));
    heading(&mut lines, RESULTS, !doc.key_results.is_empty() || !doc.inconclusive.is_empty());
    for key_result in &doc.key_results {
        lines.extend(item(&key_result_text(key_result)));
    }
    lines.extend(doc.inconclusive.iter().flat_map(|line| item(&format!("Inconclusive: {line}."))));
    for section in &doc.sections {
        write_section(&mut lines, section);
    }
    lines.join("\n") + "\n"
}

/// A key result in one paragraph.
fn key_result_text(key_result: &KeyResult) -> String {
    let rows = key_result.table.iter().flat_map(|table| {
        table.rows.iter().map(|row| {
            let named = table.columns.iter().zip(row);
            let values: Vec<String> = named.map(|(column, value)| format!("{} {}", column.name, value.text)).collect();
            format!("{}: {}.", table.caption, values.join(", "))
        })
    });
    let evidence: Vec<String> = key_result.evidence.iter().cloned().chain(rows).collect();
    format!("{}: {}. {}", key_result.question, key_result.verdict, evidence.join(" "))
}

fn heading(lines: &mut Vec<String>, title: &str, is_needed: bool) {
    if is_needed {
        lines.extend([String::new(), title.to_owned(), "-".repeat(title.chars().count())]);
    }
}

fn write_section(lines: &mut Vec<String>, section: &Section) {
    heading(lines, section.title, true);
    for (position, part) in section.parts.iter().enumerate() {
        if position > 0 {
            lines.push(String::new());
        }
        match part {
            SectionPart::Text(text) => lines.extend(paragraph(text)),
            SectionPart::List(items) => lines.extend(items.iter().flat_map(|text| item(text))),
            SectionPart::Facts(facts) => {
                lines.extend(facts.iter().flat_map(|(name, value)| item(&format!("{name}: {value}"))));
            }
            SectionPart::Table(table) => write_table(lines, table),
        }
    }
}

fn write_table(lines: &mut Vec<String>, table: &Table) {
    lines.extend(paragraph(&table.caption));
    // Rows that end in text are written as items.
    if table.columns.last().is_some_and(|column| column.prose) {
        for row in &table.rows {
            let words: Vec<&str> = row.iter().map(|value| value.text.as_str()).collect();
            lines.extend(item(&words.join(": ")));
        }
        return;
    }
    lines.extend(split_lines(table.clone()));
}

fn paragraph(text: &str) -> Vec<String> {
    wrapped(text, usize::MAX).into_iter().map(|line| line.trim_start().to_owned()).collect()
}

fn item(text: &str) -> Vec<String> {
    wrapped(&format!("  {text}"), usize::MAX)
}
