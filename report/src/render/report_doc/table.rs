//! What a section is made of.

use super::value::Value;

/// A paragraph, a list, facts or a table.
#[derive(Debug, Clone, PartialEq)]
pub enum Part {
    /// A paragraph.
    Text(String),
    /// A list.
    List(Vec<String>),
    /// Names and what they stand for.
    Facts(Vec<(String, String)>),
    /// A table.
    Table(Table),
}

/// A table: each row has as many values as there are columns.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// Its name, unique in the document.
    pub id: String,
    /// What it shows; a sentence without its full stop.
    pub caption: String,
    /// The number of key columns.
    pub keys: usize,
    /// The columns.
    pub columns: Vec<Column>,
    /// The rows.
    pub rows: Vec<Row>,
    /// Whether it is folded in the page.
    pub detail: bool,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its head.
    pub name: &'static str,
    /// What that means, where it is no common word.
    pub about: &'static str,
    /// Whether it holds prose, which is wrapped and stands to the left.
    pub prose: bool,
}

/// A row.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Its wait mode.
    pub mode: Option<String>,
    /// Its values.
    pub values: Vec<Value>,
}

impl Column {
    /// Of figures.
    #[must_use]
    pub fn new(name: &'static str, about: &'static str) -> Self {
        Self { name, about, prose: false }
    }

    /// Of words.
    #[must_use]
    pub fn prose(name: &'static str) -> Self {
        Self { name, about: "", prose: true }
    }
}

/// The columns of a table: names, and what each means, or nothing.
#[must_use]
pub fn columns(named: &[(&'static str, &'static str)]) -> Vec<Column> {
    named.iter().map(|&(name, about)| Column::new(name, about)).collect()
}

impl Table {
    /// As a part of a section; nothing without rows.
    #[must_use]
    pub fn part(self) -> Option<Part> {
        (!self.rows.is_empty()).then_some(Part::Table(self))
    }

    /// Without the columns of figures in which nothing is known in any row.
    #[must_use]
    pub fn without_unknown_columns(self) -> Self {
        self.with_columns_where(|value| *value != Value::unknown())
    }

    /// Without the columns of figures that are zero or unknown in every row.
    #[must_use]
    pub fn without_zero_columns(self) -> Self {
        self.with_columns_where(|value| *value != Value::unknown() && value.exact.as_deref() != Some("0"))
    }

    /// Keeps the keys, and the columns with at least one such value.
    fn with_columns_where(mut self, is_wanted: impl Fn(&Value) -> bool) -> Self {
        let known = |index: usize| self.rows.iter().any(|row| is_wanted(&row.values[index]));
        let keep: Vec<bool> = (0..self.columns.len()).map(|index| index < self.keys || known(index)).collect();
        let mut columns = keep.iter();
        self.columns.retain(|_| *columns.next().unwrap_or(&true));
        for row in &mut self.rows {
            let mut values = keep.iter();
            row.values.retain(|_| *values.next().unwrap_or(&true));
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_of_zeros_are_left_out() {
        let row = |lost| Row { mode: None, values: vec![Value::word("64 B"), Value::count(lost), Value::count(0)] };
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
    fn columns_in_which_nothing_is_known_are_left_out() {
        let row = |p99| Row { mode: None, values: vec![Value::word("64 B"), Value::ns(None), Value::ns(p99)] };
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
