//! `performance_report.txt`, the short text report, and its long form: the [`Document`] for a terminal of a hundred columns.

mod grid;
mod short;

use std::io::{self, Write};
use std::path::Path;

use crate::io::run::Run;
use crate::render::export::Export;
use crate::render::report_doc::{Document, Folder, Part, Point, RESULTS, Section, Table};
use crate::render::terminal::text::wrapped;
use crate::result::RunResult;

/// The report's name in a run's folder.
pub const FILE_NAME: &str = "performance_report.txt";

/// Writes the report.
#[derive(Debug, Clone, Default)]
pub struct TextReport {
    folder: Folder,
}

impl TextReport {
    /// For the run in `dir`.
    #[must_use]
    pub fn of(dir: &Path) -> Self {
        Self { folder: Folder::look(dir) }
    }
}

impl Export for TextReport {
    fn file_name(&self) -> &'static str {
        FILE_NAME
    }

    fn write(&self, result: &RunResult, run: &Run, out: &mut dyn Write) -> io::Result<()> {
        let lines = short::lines(result, &Document::of(result, run, &self.folder));
        out.write_all((lines.join("\n") + "\n").as_bytes())
    }
}

/// The long form of the report on the run in `dir`.
#[must_use]
pub fn full(result: &RunResult, run: &Run, dir: &Path) -> String {
    text(&Document::of(result, run, &Folder::look(dir)))
}

/// The long form, with a line end after each line.
#[must_use]
pub fn text(document: &Document) -> String {
    let mut lines = paragraph(&document.title);
    lines.push("=".repeat(lines.iter().map(|line| line.chars().count()).max().unwrap_or(0)));
    lines.extend(paragraph(&document.answer));
    lines.extend(paragraph(&document.checked));
    lines.extend(paragraph(&document.label));
    if !document.machine.is_empty() {
        lines.extend(paragraph(&document.machine));
    }
    heading(&mut lines, "Missing", !document.missing.is_empty());
    lines.extend(document.missing.iter().flat_map(|one| item(one)));
    heading(&mut lines, RESULTS, !document.points.is_empty() || !document.inconclusive.is_empty());
    for point in &document.points {
        lines.extend(item(&in_words(point)));
    }
    lines.extend(document.inconclusive.iter().flat_map(|line| item(&format!("Inconclusive: {line}."))));
    for section in &document.sections {
        set(&mut lines, section);
    }
    lines.join("\n") + "\n"
}

/// A result in one paragraph.
fn in_words(point: &Point) -> String {
    let rows = point.table.iter().flat_map(|table| {
        table.rows.iter().map(|row| {
            let told: Vec<String> = table.head.iter().zip(row).map(|(head, value)| format!("{head} {value}")).collect();
            format!("{}: {}.", table.caption, told.join(", "))
        })
    });
    let evidence: Vec<String> = point.evidence.iter().cloned().chain(rows).collect();
    format!("{}: {}. {}", point.question, point.verdict, evidence.join(" "))
}

fn heading(lines: &mut Vec<String>, title: &str, wanted: bool) {
    if wanted {
        lines.extend([String::new(), title.to_owned(), "-".repeat(title.chars().count())]);
    }
}

fn set(lines: &mut Vec<String>, section: &Section) {
    heading(lines, section.title, true);
    for (position, part) in section.parts.iter().enumerate() {
        if position > 0 {
            lines.push(String::new());
        }
        match part {
            Part::Text(text) => lines.extend(paragraph(text)),
            Part::List(all) => lines.extend(all.iter().flat_map(|one| item(one))),
            Part::Facts(all) => lines.extend(all.iter().flat_map(|(name, told)| item(&format!("{name}: {told}")))),
            Part::Table(table) => set_table(lines, table),
        }
    }
}

fn set_table(lines: &mut Vec<String>, table: &Table) {
    lines.extend(paragraph(&table.caption));
    // Rows that end in prose are read one by one.
    if table.columns.last().is_some_and(|column| column.prose) {
        for row in &table.rows {
            let words: Vec<&str> = row.values.iter().map(|value| value.text.as_str()).collect();
            lines.extend(item(&words.join(": ")));
        }
        return;
    }
    lines.extend(grid::lines(table));
}

fn paragraph(text: &str) -> Vec<String> {
    wrapped(text, usize::MAX).into_iter().map(|line| line.trim_start().to_owned()).collect()
}

fn item(text: &str) -> Vec<String> {
    wrapped(&format!("  {text}"), usize::MAX)
}
