//! Paragraphs, lists, facts and tables.

use super::value::Value;

/// A part of a section.
#[derive(Debug, Clone, PartialEq)]
pub enum SectionPart {
    /// A paragraph.
    Text(String),
    /// A list.
    List(Vec<String>),
    /// Names with their values.
    Facts(Vec<(String, String)>),
    /// A table.
    Table(Table),
}

/// A table. Each row has one value per column.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// Unique in the document.
    pub id: String,
    /// A caption without a full stop.
    pub caption: String,
    /// The number of key columns.
    pub keys: usize,
    /// The columns.
    pub columns: Vec<TableColumn>,
    /// The rows.
    pub rows: Vec<TableRow>,
    /// Whether the HTML report folds it.
    pub detail: bool,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableColumn {
    /// The heading.
    pub name: &'static str,
    /// An explanation of the heading, or empty.
    pub about: &'static str,
    /// Whether it holds text, which is wrapped and left-aligned.
    pub prose: bool,
}

/// A row.
#[derive(Debug, Clone, PartialEq)]
pub struct TableRow {
    /// The wait mode.
    pub mode: Option<String>,
    /// One value per column.
    pub values: Vec<Value>,
}

impl TableColumn {
    /// A column of numbers.
    #[must_use]
    pub fn new(name: &'static str, about: &'static str) -> Self {
        Self { name, about, prose: false }
    }

    /// A column of text.
    #[must_use]
    pub fn prose(name: &'static str) -> Self {
        Self { name, about: "", prose: true }
    }
}

/// Columns from headings and explanations.
#[must_use]
pub fn columns(named: &[(&'static str, &'static str)]) -> Vec<TableColumn> {
    named.iter().map(|&(name, about)| TableColumn::new(name, about)).collect()
}

impl Table {
    /// As a part of a section. `None` without rows.
    #[must_use]
    pub fn part(self) -> Option<SectionPart> {
        (!self.rows.is_empty()).then_some(SectionPart::Table(self))
    }

    /// Removes columns that are unknown in every row.
    #[must_use]
    pub fn without_unknown_columns(self) -> Self {
        self.with_columns_where(|value| *value != Value::unknown())
    }

    /// Removes columns that are zero or unknown in every row.
    #[must_use]
    pub fn without_zero_columns(self) -> Self {
        self.with_columns_where(|value| *value != Value::unknown() && value.exact.as_deref() != Some("0"))
    }

    /// Keeps only the columns with these headings.
    #[must_use]
    pub fn select(mut self, names: &[&str]) -> Self {
        let keep: Vec<bool> = self.columns.iter().map(|column| names.contains(&column.name)).collect();
        self.keys = keep.iter().take(self.keys).filter(|keep| **keep).count();
        self.keep_columns(&keep);
        self
    }

    /// Keeps the keys and the columns with at least one such value.
    fn with_columns_where(mut self, is_wanted: impl Fn(&Value) -> bool) -> Self {
        let is_kept = |index: usize| self.rows.iter().any(|row| is_wanted(&row.values[index]));
        let keep: Vec<bool> = (0..self.columns.len()).map(|index| index < self.keys || is_kept(index)).collect();
        self.keep_columns(&keep);
        self
    }

    fn keep_columns(&mut self, keep: &[bool]) {
        let mut columns = keep.iter();
        self.columns.retain(|_| *columns.next().unwrap_or(&true));
        for row in &mut self.rows {
            let mut values = keep.iter();
            row.values.retain(|_| *values.next().unwrap_or(&true));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removes_columns_of_zeros() {
        let row =
            |lost| TableRow { mode: None, values: vec![Value::word("64 B"), Value::count(lost), Value::count(0)] };
        let table = Table {
            id: "t".to_owned(),
            caption: String::new(),
            keys: 1,
            columns: columns(&[("size", ""), ("rings", ""), ("lost", "")]),
            rows: vec![row(0), row(7)],
            detail: false,
        };
        let table = table.without_zero_columns();
        let names: Vec<&str> = table.columns.iter().map(|column| column.name).collect();
        assert_eq!(names, ["size", "rings"]);
    }

    #[test]
    fn removes_unknown_columns() {
        let row = |p99| TableRow { mode: None, values: vec![Value::word("64 B"), Value::ns(None), Value::ns(p99)] };
        let table = Table {
            id: "t".to_owned(),
            caption: String::new(),
            keys: 1,
            columns: columns(&[("size", ""), ("p50", ""), ("p99", "")]),
            rows: vec![row(Some(5)), row(None)],
            detail: false,
        };
        let table = table.without_unknown_columns();
        let names: Vec<&str> = table.columns.iter().map(|column| column.name).collect();
        assert_eq!(names, ["size", "p99"]);
        assert!(table.rows.iter().all(|row| row.values.len() == 2));
    }
}
