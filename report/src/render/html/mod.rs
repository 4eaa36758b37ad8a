//! `report.html`: the [`Document`] as one page that needs no network, no scripts and nothing beside it.
//!
//! 1. `colours`: the plots' palette, which the whole page has.
//!    `parts`: sections, tables and figures as HTML. Every string goes through maud's escaping, and before that through
//!    `safe`, since a guest or an environment may have made it up.
//! 2. `policy`: what a browser may do with the page, which is next to nothing.
//! 3. `style.css`, `print.css` and `compare.js`: how it looks, on paper too, and the one thing that takes a script.

mod colours;
mod parts;
mod policy;
mod safe;

use std::io::{self, Write};
use std::path::Path;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use self::safe::safe;
use crate::io::run::Run;
use crate::render::export::Export;
use crate::render::plots::{Plot, themed};
use crate::render::report_doc::{Document, Folder, Point, RESULTS};
use crate::result::RunResult;
use bench_model::units::plural;

/// The page's name in a run's folder.
pub const FILE_NAME: &str = "report.html";

/// The heading of the plots.
const PLOTS: &str = "Plots";

/// Warnings shown next to the headline.
const SHOWN_WARNINGS: usize = 3;

const STYLE: &str = concat!(include_str!("style.css"), include_str!("print.css"));
const SCRIPT: &str = include_str!("compare.js");

/// Writes the page.
#[derive(Debug, Clone, Default)]
pub struct Page {
    folder: Folder,
    plots: Vec<Plot>,
}

impl Page {
    /// For the run in `dir`, with links to the files that exist by now.
    #[must_use]
    pub fn of(dir: &Path, plots: Vec<Plot>) -> Self {
        Self { folder: Folder::look(dir), plots }
    }
}

impl Export for Page {
    fn file_name(&self) -> &'static str {
        FILE_NAME
    }

    fn write(&self, result: &RunResult, run: &Run, out: &mut dyn Write) -> io::Result<()> {
        let document = Document::of(result, run, &self.folder);
        out.write_all(page(&document, &self.plots, &self.folder).into_string().as_bytes())
    }
}

/// The whole page. Deterministic: neither the clock nor the machine that renders it is in it.
#[must_use]
pub fn page(document: &Document, plots: &[Plot], folder: &Folder) -> Markup {
    let style = format!("{}{STYLE}", colours::properties());
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy::policy(SCRIPT));
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="referrer" content="no-referrer";
                title { (safe(&document.title)) }
                // Both are this project's own files: neither holds an end tag, and nothing of the run.
                style { (PreEscaped(style)) }
            }
            body {
                a.skip href="#answer" { "Skip to the headline" }
                (head(document, plots, folder))
                main {
                    @if !document.missing.is_empty() { (missing(document)) }
                    (results(document))
                    (controls(document))
                    @if !plots.is_empty() { (figures(plots)) }
                    @for section in &document.sections { (parts::section(section)) }
                    @if !folder.files.is_empty() { (files(folder)) }
                }
                footer {
                    p { "Percentiles, intervals, checks and workloads are explained in " code { "docs/measuring.md" } "." }
                }
                p #readout role="status" aria-live="polite" {}
                script { (PreEscaped(SCRIPT)) }
            }
        }
    }
}

fn head(document: &Document, plots: &[Plot], folder: &Folder) -> Markup {
    let verdict = if document.passed { "passed" } else { "failed" };
    html! {
        header {
            h1 { (safe(&document.title)) }
            p.badges {
                span class={ "badge " (verdict) } { (safe(&document.checked)) }
                @if !document.warnings.is_empty() {
                    a.badge.warned href="#warnings" { (plural(document.warnings.len() as u64, "warning")) }
                }
                span.badge { (safe(&document.label)) }
            }
            p.answer #answer tabindex="-1" { (safe(&document.answer)) }
            (warnings(document))
            @if !document.machine.is_empty() { p.machine { (safe(&document.machine)) } }
        }
        nav aria-label="Sections" {
            ul {
                @if has_results(document) { li { a href="#results" { (RESULTS) } } }
                @if !plots.is_empty() { li { a href="#plots" { (PLOTS) } } }
                @for section in &document.sections {
                    li { a href={ "#" (section.id) } { (section.title) } }
                }
                @if !folder.files.is_empty() { li { a href="#files" { "Files" } } }
            }
        }
    }
}

/// The most important warnings next to the headline: those about the data come first in the document.
fn warnings(document: &Document) -> Markup {
    let more = document.warnings.len().saturating_sub(SHOWN_WARNINGS);
    html! {
        @if !document.warnings.is_empty() {
            ul.warned aria-label="Warnings" {
                @for warning in document.warnings.iter().take(SHOWN_WARNINGS) { li { (safe(warning)) } }
                @if more > 0 { li { a href="#warnings" { (plural(more as u64, "more warning")) } } }
            }
        }
    }
}

fn missing(document: &Document) -> Markup {
    html! {
        section.missing aria-labelledby="missing" {
            h2 #missing { "Missing" }
            ul { @for one in &document.missing { li { (safe(one)) } } }
        }
    }
}

fn has_results(document: &Document) -> bool {
    !document.points.is_empty() || !document.inconclusive.is_empty()
}

fn results(document: &Document) -> Markup {
    if !has_results(document) {
        return html! {};
    }
    html! {
        section aria-labelledby="results" {
            h2 #results { (RESULTS) }
            ul.points { @for one in &document.points { (point(one)) } }
            @for line in &document.inconclusive { p.inconclusive { "Inconclusive: " (safe(line)) "." } }
        }
    }
}

fn point(point: &Point) -> Markup {
    html! {
        li class=[point.winner.as_deref().map(parts::mode_class)] {
            h3 { (safe(&point.question)) }
            p.verdict { (safe(&point.verdict)) }
            @for one in &point.evidence { p { (safe(one)) } }
            @if let Some(table) = &point.table {
                table {
                    caption { (safe(&table.caption)) }
                    thead { tr { @for head in &table.head { th scope="col" { (head) } } } }
                    tbody {
                        @for row in &table.rows {
                            tr {
                                @for (index, value) in row.iter().enumerate() {
                                    @if index == 0 { th scope="row" { (safe(value)) } } @else { td { (safe(value)) } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Without scripts: the style sheet looks at the boxes.
fn controls(document: &Document) -> Markup {
    html! {
        form.controls aria-label="What is shown" autocomplete="off" {
            fieldset {
                legend { "Show" }
                @if document.modes.len() > 1 {
                    @for mode in &document.modes {
                        @let class = parts::mode_class(mode);
                        label class=(class) {
                            input type="checkbox" id={ "show-" (class) } checked;
                            span.swatch aria-hidden="true" {} bdi { (safe(mode)) }
                        }
                    }
                }
                label { input type="checkbox" id="show-exact"; "exact values" }
            }
        }
    }
}

fn figures(plots: &[Plot]) -> Markup {
    html! {
        section aria-labelledby="plots" {
            h2 #plots { (PLOTS) }
            @if let Some(plot) = plots.first() { p.place { (safe(&plot.place)) "." } }
            @for plot in plots {
                figure id={ "plot-" (plot.name) } {
                    h3 { (safe(&plot.title)) }
                    div.plot role="img" aria-label=(safe(&plot.alt)) tabindex="0" { (PreEscaped(themed(&plot.svg))) }
                    figcaption { (safe(&plot.caption)) }
                }
            }
        }
    }
}

fn files(folder: &Folder) -> Markup {
    html! {
        section aria-labelledby="files" {
            h2 #files { "Files" }
            ul.files {
                @for (name, about) in &folder.files {
                    li { a href=(safe::link(name)) { (safe(name)) } ": " (about) }
                }
            }
        }
    }
}
