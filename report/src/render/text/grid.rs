//! A table in lines: where it is wider than the terminal, its columns follow in several grids, each with the keys.

use crate::render::report_doc::Table;
use crate::render::terminal::table::aligned;
use crate::render::terminal::text::{WIDTH, printable};

/// Characters of a key: a name that somebody made up must not push the figures off the terminal.
const LONGEST_KEY: usize = 44;

/// The lines.
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
    for columns in grids(&widths, table.keys) {
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
    if text.chars().count() <= LONGEST_KEY {
        return text;
    }
    text.chars().take(LONGEST_KEY - 1).chain(['…']).collect()
}

/// Which columns each grid has: the keys, and as many of the others as fit. At least one, however wide it is.
fn grids(widths: &[usize], keys: usize) -> Vec<Vec<usize>> {
    // One column lies between columns.
    let of_keys: usize = widths[..keys].iter().map(|width| width + 1).sum();
    let mut grids: Vec<Vec<usize>> = Vec::new();
    let mut used = usize::MAX;
    for (index, width) in widths.iter().enumerate().skip(keys) {
        if used.saturating_add(width + 1) > WIDTH + 1 {
            grids.push((0..keys).collect());
            used = of_keys;
        }
        used += width + 1;
        if let Some(grid) = grids.last_mut() {
            grid.push(index);
        }
    }
    grids
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_that_do_not_fit_follow_below_the_same_keys() {
        assert_eq!(grids(&[20, 10, 30, 30, 30], 2), [vec![0, 1, 2, 3], vec![0, 1, 4]]);
        assert_eq!(grids(&[20, 10], 2), Vec::<Vec<usize>>::new());
        assert_eq!(grids(&[99, 10, 30], 1), [vec![0, 1], vec![0, 2]], "keys alone fill the line");
    }

    #[test]
    fn a_key_is_cut_off_where_it_would_fill_the_line() {
        assert_eq!(short(&"x".repeat(50)).chars().count(), LONGEST_KEY);
        assert_eq!(short("64 B"), "64 B");
    }
}
