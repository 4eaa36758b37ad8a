//! Tables in text.

use comfy_table::{CellAlignment, LineStyle, Table as TextTable, presets};

use super::report_doc::table::Table;
use super::report_doc::value::UNKNOWN;
use super::wrap::{WIDTH, printable, truncated};

/// Characters of a key: untrusted names must not push the values off the terminal.
const MAX_KEY_LENGTH: usize = 44;

/// The lines of a table. Columns after the keys are right-aligned.
pub(crate) fn lines(table: &Table) -> Vec<String> {
    let mut text = TextTable::new();
    // A junction of one character separates columns, without padding.
    text.load_style(presets::NOTHING.header_separator(LineStyle::none().fill('-').junction('-')));
    text.set_header(table.columns.iter().map(|column| column.name));
    text.add_rows(table.rows.iter().map(|row| row.iter().map(|value| &value.text)));
    for (index, column) in text.column_iter_mut().enumerate() {
        column.set_padding((0, 0));
        if index >= table.keys {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    text.lines().map(|line| line.trim_end().to_owned()).collect()
}

/// With numbers without the space before their unit, and `-` for unknown values. Keys and prose keep their spaces.
pub(crate) fn compact(mut table: Table) -> Table {
    for row in &mut table.rows {
        let values = row.iter_mut().zip(&table.columns).skip(table.keys).filter(|(_, column)| !column.prose);
        for (value, _) in values {
            value.text = if value.text == UNKNOWN { "-".to_owned() } else { value.text.replace(' ', "") };
        }
    }
    table
}

/// The lines of a table with intervals, split by columns into tables of at most [`WIDTH`] columns, each with the keys.
pub(crate) fn split_lines(mut table: Table) -> Vec<String> {
    for row in &mut table.rows {
        for (index, value) in row.iter_mut().enumerate() {
            let text = printable(&value.line());
            value.text = if index < table.keys { truncated(&text, MAX_KEY_LENGTH) } else { text };
        }
    }
    let width = |index: usize| {
        let texts = table.rows.iter().map(|row| row[index].text.as_str()).chain([table.columns[index].name]);
        texts.map(|text| text.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..table.columns.len()).map(width).collect();
    let tables = split(&widths, table.keys).into_iter().map(|columns| {
        let names: Vec<&str> = columns.into_iter().map(|index| table.columns[index].name).collect();
        lines(&table.clone().select(&names))
    });
    tables.collect::<Vec<_>>().join(&String::new())
}

/// The columns of each table: the keys, and as many others as fit, at least one.
fn split(widths: &[usize], keys: usize) -> Vec<Vec<usize>> {
    // Columns are separated by one character.
    let keys_width: usize = widths[..keys].iter().map(|width| width + 1).sum();
    let mut tables: Vec<Vec<usize>> = Vec::new();
    let mut used = usize::MAX;
    for (index, width) in widths.iter().enumerate().skip(keys) {
        if used.saturating_add(width + 1) > WIDTH + 1 {
            tables.push((0..keys).collect());
            used = keys_width;
        }
        used += width + 1;
        if let Some(table) = tables.last_mut() {
            table.push(index);
        }
    }
    tables
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeats_keys_for_columns_that_do_not_fit() {
        assert_eq!(split(&[20, 10, 30, 30, 30], 2), [vec![0, 1, 2, 3], vec![0, 1, 4]]);
        assert_eq!(split(&[20, 10], 2), Vec::<Vec<usize>>::new());
        assert_eq!(split(&[99, 10, 30], 1), [vec![0, 1], vec![0, 2]], "the keys fill the line");
    }
}
