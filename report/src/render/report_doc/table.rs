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
    pub rows: Vec<Vec<Value>>,
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

/// A column: heading, explanation or empty, and the value of a row's subject.
pub(crate) type Column<T> = (&'static str, &'static str, fn(&T) -> Value);

impl Table {
    /// A table with one row per subject. The first `keys` columns are the keys.
    pub fn new<'a, T: 'a>(
        id: impl Into<String>,
        caption: impl Into<String>,
        keys: usize,
        columns: &[Column<T>],
        subjects: impl IntoIterator<Item = &'a T>,
    ) -> Self {
        let row = |subject| columns.iter().map(|(_, _, value)| value(subject)).collect();
        Self {
            id: id.into(),
            caption: caption.into(),
            keys,
            columns: columns.iter().map(|&(name, about, _)| TableColumn { name, about, prose: false }).collect(),
            rows: subjects.into_iter().map(row).collect(),
            detail: false,
        }
    }

    /// With text in the columns with these headings.
    pub fn with_prose(mut self, names: &[&str]) -> Self {
        for column in &mut self.columns {
            column.prose |= names.contains(&column.name);
        }
        self
    }

    /// Folded in the HTML report.
    pub fn folded(self) -> Self {
        Self { detail: true, ..self }
    }

    /// The wait mode of a row, if the table has one.
    pub fn mode_of<'a>(&self, row: &'a [Value]) -> Option<&'a str> {
        let column = self.columns[..self.keys].iter().position(|column| column.name == "mode")?;
        Some(row[column].text.as_str())
    }

    /// As a part of a section. `None` without rows.
    pub fn part(self) -> Option<SectionPart> {
        (!self.rows.is_empty()).then_some(SectionPart::Table(self))
    }

    /// Removes columns that are unknown in every row.
    pub fn without_unknown_columns(self) -> Self {
        self.with_columns_where(|value| *value != Value::unknown())
    }

    /// Removes columns that are zero or unknown in every row.
    pub fn without_zero_columns(self) -> Self {
        self.with_columns_where(|value| *value != Value::unknown() && value.exact.as_deref() != Some("0"))
    }

    /// Keeps only the columns with these headings.
    pub fn select(mut self, names: &[&str]) -> Self {
        let keep: Vec<bool> = self.columns.iter().map(|column| names.contains(&column.name)).collect();
        self.keys = keep.iter().take(self.keys).filter(|keep| **keep).count();
        self.keep_columns(&keep);
        self
    }

    /// Keeps the keys and the columns with at least one such value.
    fn with_columns_where(mut self, is_wanted: impl Fn(&Value) -> bool) -> Self {
        let is_kept = |index: usize| self.rows.iter().any(|row| is_wanted(&row[index]));
        let keep: Vec<bool> = (0..self.columns.len()).map(|index| index < self.keys || is_kept(index)).collect();
        self.keep_columns(&keep);
        self
    }

    fn keep_columns(&mut self, keep: &[bool]) {
        let mut columns = keep.iter();
        self.columns.retain(|_| *columns.next().unwrap_or(&true));
        for row in &mut self.rows {
            let mut values = keep.iter();
            row.retain(|_| *values.next().unwrap_or(&true));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Counts = (Option<u64>, u64);

    fn table(rows: &[Counts]) -> Table {
        const COLUMNS: [Column<Counts>; 3] = [
            ("size", "", |_| Value::word("64 B")),
            ("rings", "", |(rings, _)| Value::ns(*rings)),
            ("lost", "", |(_, lost)| Value::count(*lost)),
        ];
        Table::new("t", "", 1, &COLUMNS, rows)
    }

    fn names(table: &Table) -> Vec<&str> {
        table.columns.iter().map(|column| column.name).collect()
    }

    #[test]
    fn removes_columns_of_zeros() {
        let table = table(&[(Some(0), 0), (Some(7), 0)]).without_zero_columns();
        assert_eq!(names(&table), ["size", "rings"]);
    }

    #[test]
    fn removes_unknown_columns() {
        let unknown = table(&[(None, 5), (None, 0)]).without_unknown_columns();
        assert_eq!(names(&unknown), ["size", "lost"]);
        assert!(unknown.rows.iter().all(|row| row.len() == 2));
        let partly_known = table(&[(None, 5), (Some(3), 0)]).without_unknown_columns();
        assert_eq!(names(&partly_known), ["size", "rings", "lost"]);
    }
}
