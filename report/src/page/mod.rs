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
use crate::document::{Document, Folder, Point};
use crate::exports::Export;
use crate::plots::{Plot, themed};
use crate::result::RunResult;
use crate::run::Run;

/// The page's name in a run's folder.
pub const FILE_NAME: &str = "report.html";

const STYLE: &str = concat!(include_str!("style.css"), include_str!("print.css"));
const SCRIPT: &str = include_str!("compare.js");

/// Writes the page.
#[derive(Debug, Clone, Default)]
pub struct Page {
    folder: Folder,
    plots: Vec<Plot>,
}

impl Page {
    /// For the run in `dir`, with links to what lies there by now.
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
                a.skip href="#answer" { "Skip to the answer" }
                (head(document, folder))
                main {
                    @if !document.missing.is_empty() { (missing(document)) }
                    (points(&document.points))
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

fn head(document: &Document, folder: &Folder) -> Markup {
    let verdict = if document.passed { "passed" } else { "failed" };
    html! {
        header {
            h1 { (safe(&document.title)) }
            p.badges {
                span class={ "badge " (verdict) } { (safe(&document.checked)) }
                span.badge { (safe(&document.label)) }
            }
            p.answer #answer tabindex="-1" { (safe(&document.answer)) }
            @if !document.machine.is_empty() { p.machine { (safe(&document.machine)) } }
        }
        nav aria-label="Sections" {
            ul {
                @if !document.points.is_empty() { li { a href="#answers" { "Answers" } } }
                @for section in &document.sections {
                    li { a href={ "#" (section.id) } { (section.title) } }
                }
                @if !folder.files.is_empty() { li { a href="#files" { "Files" } } }
            }
        }
    }
}

fn missing(document: &Document) -> Markup {
    html! {
        section.missing aria-labelledby="missing" {
            h2 #missing { "What is missing" }
            ul { @for one in &document.missing { li { (safe(one)) } } }
        }
    }
}

fn points(points: &[Point]) -> Markup {
    if points.is_empty() {
        return html! {};
    }
    html! {
        section aria-labelledby="answers" {
            h2 #answers { "Which way to wait, and at which price" }
            ul.points {
                @for point in points {
                    li class=[point.winner.as_deref().map(parts::mode_class)] {
                        h3 { (safe(&point.question)) }
                        p.verdict { (safe(&point.verdict)) }
                        @for one in &point.evidence { p { (safe(one)) } }
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
            h2 #plots { "Plots" }
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
            h2 #files { "Files beside this page" }
            ul.files {
                @for (name, about) in &folder.files {
                    li { a href=(safe::link(name)) { (safe(name)) } ": " (about) }
                }
            }
        }
    }
}
