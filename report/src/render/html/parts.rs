//! Sections, tables and figures as HTML.

use maud::{Markup, html};

use super::safe::safe;
use crate::render::report_doc::{Part, Row, Section, Table, Value};

/// A section under its heading.
pub(super) fn section(section: &Section) -> Markup {
    html! {
        section aria-labelledby=(section.id) {
            h2 id=(section.id) { (section.title) }
            @for one in &section.parts { (part(one)) }
        }
    }
}

fn part(part: &Part) -> Markup {
    match part {
        Part::Text(text) => html! { p { (safe(text)) } },
        Part::List(all) => html! { ul { @for one in all { li { (safe(one)) } } } },
        Part::Facts(all) => html! {
            dl { @for (name, told) in all { div { dt { (safe(name)) } dd { bdi { (safe(told)) } } } } }
        },
        Part::Table(one) if one.detail => html! { details { summary { (safe(&one.caption)) } (table(one)) } },
        Part::Table(one) => table(one),
    }
}

/// Wide tables scroll by themselves, with the keyboard too, so that the page never does sideways.
fn table(table: &Table) -> Markup {
    html! {
        div.scroll role="region" aria-labelledby=(table.id) tabindex="0" {
            table {
                caption id=(table.id) { span { (safe(&table.caption)) } }
                thead {
                    tr {
                        @for (index, column) in table.columns.iter().enumerate() {
                            th scope="col" class=[(is_word(table, index)).then_some("word")] {
                                @if column.about.is_empty() { (column.name) }
                                @else { abbr title=(column.about) { (column.name) } }
                            }
                        }
                    }
                }
                tbody { @for one in &table.rows { (row(table, one)) } }
            }
        }
    }
}

/// Words stand to the left, figures to the right.
fn is_word(table: &Table, index: usize) -> bool {
    index < table.keys || table.columns.get(index).is_some_and(|column| column.prose)
}

fn row(table: &Table, row: &Row) -> Markup {
    let mode = row.mode.as_deref();
    html! {
        tr class=[mode.map(mode_class)] {
            @for (index, value) in row.values.iter().enumerate() {
                @if index < table.keys {
                    th scope="row" { (key(value, mode)) }
                } @else if is_word(table, index) {
                    td class=(if value.text == "FAILED" { "word failed" } else { "word" }) { (safe(&value.text)) }
                } @else {
                    td { (figure(value)) }
                }
            }
        }
    }
}

fn key(value: &Value, mode: Option<&str>) -> Markup {
    html! {
        @if mode == Some(value.text.as_str()) { span.swatch aria-hidden="true" {} }
        bdi { (safe(&value.text)) }
    }
}

/// A figure with its exact value for machines, and its interval below.
fn figure(value: &Value) -> Markup {
    html! {
        @match &value.exact {
            Some(exact) => {
                @let unit = if value.unit.is_empty() { String::new() } else { format!(" {}", value.unit) };
                data value=(exact) title={ (exact) (unit) } {
                    span.short { (value.text) }
                    span.exact { (exact) (unit) }
                }
            }
            None => (safe(&value.text)),
        }
        @if let Some((low, high)) = &value.interval {
            " " small.interval { (low) " to " (high) }
        }
    }
}

/// The class of a way to wait; those alike on both sides and the six mixed ones have a colour each.
pub(super) fn mode_class(mode: &str) -> &'static str {
    match mode {
        "poll" => "mode-poll",
        "irq" => "mode-irq",
        "hybrid" => "mode-hybrid",
        "poll/irq" => "mode-mixed-1",
        "poll/hybrid" => "mode-mixed-2",
        "irq/poll" => "mode-mixed-3",
        "irq/hybrid" => "mode-mixed-4",
        "hybrid/poll" => "mode-mixed-5",
        "hybrid/irq" => "mode-mixed-6",
        _ => "mode-other",
    }
}
