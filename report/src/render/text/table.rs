//! Wide tables are split by columns into several tables, each with the keys.

use crate::render::report_doc::table::Table;
use crate::render::text_table::aligned;
use crate::render::wrap::{WIDTH, printable};

/// Characters of a key: untrusted names must not push the values off the terminal.
const MAX_KEY_LENGTH: usize = 44;

/// The lines of a table.
pub(super) fn lines(table: &Table) -> Vec<String> {
    let header: Vec<String> = table.columns.iter().map(|column| column.name.to_owned()).collect();
    let rows: Vec<Vec<String>> = table
        .rows
        .iter()
        .map(|row| {
            let values = row.values.iter().enumerate();
            values
                .map(|(index, value)| if index < table.keys { short(&value.text) } else { printable(&value.line()) })
                .collect()
        })
        .collect();
    let widths: Vec<usize> = (0..header.len())
        .map(|index| {
            let texts = rows.iter().map(|row| &row[index]).chain([&header[index]]);
            texts.map(|text| text.chars().count()).max().unwrap_or(0)
        })
        .collect();
    let mut lines = Vec::new();
    for columns in split(&widths, table.keys) {
        if !lines.is_empty() {
            lines.push(String::new());
        }
        let pick = |texts: &[String]| columns.iter().map(|&index| texts[index].clone()).collect::<Vec<_>>();
        let head = pick(&header);
        let head: Vec<&str> = head.iter().map(String::as_str).collect();
        lines.extend(aligned(&head, rows.iter().map(|row| pick(row)), table.keys));
    }
    lines
}

fn short(text: &str) -> String {
    let text = printable(text);
    if text.chars().count() <= MAX_KEY_LENGTH {
        return text;
    }
    text.chars().take(MAX_KEY_LENGTH - 1).chain(['…']).collect()
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

    #[test]
    fn truncates_long_keys() {
        assert_eq!(short(&"x".repeat(50)).chars().count(), MAX_KEY_LENGTH);
        assert_eq!(short("64 B"), "64 B");
    }
}
