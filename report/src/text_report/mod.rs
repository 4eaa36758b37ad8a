//! `performance_report.txt`: the [`Document`] set for a terminal of a hundred columns.

mod grid;

use std::io::{self, Write};
use std::path::Path;

use crate::document::{Document, Folder, Part, Section, Table};
use crate::exports::Export;
use crate::result::RunResult;
use crate::run::Run;
use crate::summary::text::wrapped;

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
        out.write_all(text(&Document::of(result, run, &self.folder)).as_bytes())
    }
}

/// The report, with a line end after each line.
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
    heading(&mut lines, "Answers", !document.points.is_empty());
    for point in &document.points {
        lines.extend(item(&format!("{}: {}. {}", point.question, point.verdict, point.evidence.join(" "))));
    }
    for section in &document.sections {
        set(&mut lines, section);
    }
    lines.join("\n") + "\n"
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
