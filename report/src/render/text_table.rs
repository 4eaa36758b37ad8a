//! Tables in text.

use comfy_table::{CellAlignment, LineStyle, Table, presets};

use super::report_doc::table;
use super::report_doc::value::{UNKNOWN, Value};

/// Formats a table. Columns from `first_number` on are right-aligned.
pub(crate) fn aligned(header: &[&str], rows: impl Iterator<Item = Vec<String>>, first_number: usize) -> Vec<String> {
    let mut table = Table::new();
    // A junction of one character separates columns, without padding.
    table.load_style(presets::NOTHING.header_separator(LineStyle::none().fill('-').junction('-')));
    table.set_header(header);
    table.add_rows(rows);
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 0));
        if index >= first_number {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect()
}

/// A number without the space before its unit; unknown values become `-`.
pub(crate) fn compact(value: &Value) -> String {
    if value.text == UNKNOWN { "-".to_owned() } else { value.text.replace(' ', "") }
}

/// A table of the report in compact form. Keys and prose keep their spaces.
pub(crate) fn compact_lines(table: &table::Table) -> Vec<String> {
    let header: Vec<&str> = table.columns.iter().map(|column| column.name).collect();
    let rows = table.rows.iter().map(|row| {
        let cells = row.values.iter().zip(&table.columns).enumerate();
        let text = |(index, (value, column)): (usize, (&Value, &table::TableColumn))| {
            if index < table.keys || column.prose { value.text.clone() } else { compact(value) }
        };
        cells.map(text).collect()
    });
    aligned(&header, rows, table.keys)
}
