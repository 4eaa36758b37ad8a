//! `report.html`: the [`ReportDoc`] as one self-contained page, readable without network and scripts.
//!
//! 1. `css`: the colours of the plots as custom properties. `tables`: sections, tables and numbers as HTML. maud escapes
//!    every string; `sanitize` first removes control characters, because guest and environment are untrusted.
//! 2. `csp`: the Content-Security-Policy.
//! 3. `style.css`, `print.css`, and `compare.js`, the only script.

mod csp;
mod css;
mod sanitize;
mod tables;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use self::sanitize::{link, safe};
use crate::render::plots::{Plot, mode_class, themed};
use crate::render::report_doc::{KeyResult, RESULTS, ReportDoc, RunFiles};
use bench_model::units::plural;

/// The heading of the plots.
const PLOTS: &str = "Plots";

/// Warnings shown next to the headline.
const SHOWN_WARNINGS: usize = 3;

const STYLE: &str = concat!(include_str!("style.css"), include_str!("print.css"));
const SCRIPT: &str = include_str!("compare.js");

/// The whole page. Deterministic: it contains neither the time nor the machine of rendering.
#[must_use]
pub fn page(doc: &ReportDoc, plots: &[Plot], files: &RunFiles) -> Markup {
    let style = format!("{}{STYLE}", css::properties());
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(csp::policy(SCRIPT));
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="referrer" content="no-referrer";
                title { (safe(&doc.title)) }
                // Constant files of this project: they contain no end tag and no data of the run.
                style { (PreEscaped(style)) }
            }
            body {
                a.skip href="#answer" { "Skip to the headline" }
                (head(doc, plots, files))
                main {
                    @if !doc.missing.is_empty() { (missing(doc)) }
                    (results(doc))
                    (controls(doc))
                    @if !plots.is_empty() { (plot_figures(plots)) }
                    @for section in &doc.sections { (tables::section(section)) }
                    @if !files.files.is_empty() { (file_list(files)) }
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

fn head(doc: &ReportDoc, plots: &[Plot], files: &RunFiles) -> Markup {
    let verdict = if doc.overview.checks.passed() { "passed" } else { "failed" };
    html! {
        header {
            h1 { (safe(&doc.title)) }
            p.badges {
                span class={ "badge " (verdict) } { (safe(&doc.overview.checks.text)) }
                @if !doc.overview.warnings.is_empty() {
                    a.badge.warned href="#warnings" { (plural(doc.overview.warnings.len() as u64, "warning")) }
                }
                span.badge { (safe(&doc.overview.label)) }
            }
            p.answer #answer tabindex="-1" { (safe(&doc.overview.headline)) }
            (warnings(doc))
            @if !doc.machine.is_empty() { p.machine { (safe(&doc.machine)) } }
        }
        nav aria-label="Sections" {
            ul {
                @if has_results(doc) { li { a href="#results" { (RESULTS) } } }
                @if !plots.is_empty() { li { a href="#plots" { (PLOTS) } } }
                @for section in &doc.sections {
                    li { a href={ "#" (section.id) } { (section.title) } }
                }
                @if !files.files.is_empty() { li { a href="#files" { "Files" } } }
            }
        }
    }
}

/// The most important warnings next to the headline: those about the data come first in the doc.
fn warnings(doc: &ReportDoc) -> Markup {
    let more = doc.overview.warnings.len().saturating_sub(SHOWN_WARNINGS);
    html! {
        @if !doc.overview.warnings.is_empty() {
            ul.warned aria-label="Warnings" {
                @for warning in doc.overview.warnings.iter().take(SHOWN_WARNINGS) { li { (safe(&warning.message)) } }
                @if more > 0 { li { a href="#warnings" { (plural(more as u64, "more warning")) } } }
            }
        }
    }
}

fn missing(doc: &ReportDoc) -> Markup {
    html! {
        section.missing aria-labelledby="missing" {
            h2 #missing { "Missing" }
            ul { @for text in &doc.missing { li { (safe(text)) } } }
        }
    }
}

fn has_results(doc: &ReportDoc) -> bool {
    !doc.key_results.is_empty() || !doc.inconclusive.is_empty()
}

fn results(doc: &ReportDoc) -> Markup {
    if !has_results(doc) {
        return html! {};
    }
    html! {
        section aria-labelledby="results" {
            h2 #results { (RESULTS) }
            ul.points { @for result in &doc.key_results { (key_result(result)) } }
            @for line in &doc.inconclusive { p.inconclusive { "Inconclusive: " (safe(line)) "." } }
        }
    }
}

fn key_result(result: &KeyResult) -> Markup {
    html! {
        li class=[result.winner.as_deref().map(mode_class)] {
            h3 { (safe(&result.question)) }
            p.verdict { (safe(&result.verdict)) }
            @for text in &result.evidence { p { (safe(text)) } }
            @if let Some(content) = &result.table { (tables::table(content)) }
        }
    }
}

/// Check boxes, which the style sheet evaluates without a script.
fn controls(doc: &ReportDoc) -> Markup {
    html! {
        form.controls aria-label="Display options" autocomplete="off" {
            fieldset {
                legend { "Show" }
                @if doc.modes.len() > 1 {
                    @for mode in &doc.modes {
                        @let class = mode_class(mode);
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

fn plot_figures(plots: &[Plot]) -> Markup {
    html! {
        section aria-labelledby="plots" {
            h2 #plots { (PLOTS) }
            @if let Some(plot) = plots.first() { p.environment { (safe(&plot.environment)) "." } }
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

fn file_list(files: &RunFiles) -> Markup {
    html! {
        section aria-labelledby="files" {
            h2 #files { "Files" }
            ul.files {
                @for (name, about) in &files.files {
                    li { a href=(link(name)) { (safe(name)) } ": " (about) }
                }
            }
        }
    }
}
