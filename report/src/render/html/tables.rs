//! Sections, tables and numbers as HTML.

use maud::{Markup, html};

use super::sanitize::safe;
use crate::render::plots::mode_class;
use crate::render::report_doc::{Section, SectionPart, Table, Value};

/// A section under its heading.
pub(super) fn section(section: &Section) -> Markup {
    html! {
        section aria-labelledby=(section.id) {
            h2 id=(section.id) { (section.title) }
            @for item in &section.parts { (part(item)) }
        }
    }
}

fn part(part: &SectionPart) -> Markup {
    match part {
        SectionPart::Text(text) => html! { p { (safe(text)) } },
        SectionPart::List(items) => html! { ul { @for item in items { li { (safe(item)) } } } },
        SectionPart::Facts(facts) => html! {
            dl { @for (name, value) in facts { div { dt { (safe(name)) } dd { bdi { (safe(value)) } } } } }
        },
        SectionPart::Table(content) if content.detail => {
            html! { details { summary { (safe(&content.caption)) } (table(content)) } }
        }
        SectionPart::Table(content) => table(content),
    }
}

/// Wide tables scroll separately, with the keyboard too: the page itself never scrolls sideways.
pub(super) fn table(table: &Table) -> Markup {
    html! {
        div.scroll role="region" aria-labelledby=(table.id) tabindex="0" {
            table {
                caption id=(table.id) { span { (safe(&table.caption)) } }
                thead {
                    tr {
                        @for (index, column) in table.columns.iter().enumerate() {
                            th scope="col" class=[(is_text(table, index)).then_some("word")] {
                                @if column.about.is_empty() { (column.name) }
                                @else { abbr title=(column.about) { (column.name) } }
                            }
                        }
                    }
                }
                tbody { @for table_row in &table.rows { (row(table, table_row)) } }
            }
        }
    }
}

/// Text is left-aligned, numbers right-aligned.
fn is_text(table: &Table, index: usize) -> bool {
    index < table.keys || table.columns.get(index).is_some_and(|column| column.prose)
}

fn row(table: &Table, row: &[Value]) -> Markup {
    let mode = table.mode_of(row);
    html! {
        tr class=[mode.map(mode_class)] {
            @for (index, value) in row.iter().enumerate() {
                @if index < table.keys {
                    th scope="row" { (key(value, mode)) }
                } @else if is_text(table, index) {
                    td class=(if value.text == "FAILED" { "word failed" } else { "word" }) { (safe(&value.text)) }
                } @else {
                    td { (number(value)) }
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

/// A number with its exact value and its interval.
fn number(value: &Value) -> Markup {
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
