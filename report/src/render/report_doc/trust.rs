//! Self-checks and warnings.

use crate::result::{CheckOutcome, RunResult};

use super::table::{Column, Part, Row, Table};
use super::value::Value;

pub(super) fn checks(result: &RunResult) -> Vec<Part> {
    let row = |check: &crate::result::SelfCheck| {
        let verdict = match check.pass {
            CheckOutcome::Pass => "passed",
            CheckOutcome::Fail => "FAILED",
            CheckOutcome::NotApplicable => "not applicable",
        };
        let words = [check.id.to_string(), verdict.to_owned(), check.name.clone(), check.detail.clone()];
        Row { mode: None, values: words.map(Value::word).into() }
    };
    let table = Table {
        id: "table-checks".to_owned(),
        caption: "Self-checks of this run".to_owned(),
        keys: 2,
        columns: [
            Column::new("check", ""),
            Column::prose("verdict"),
            Column::prose("assertion"),
            Column::prose("result"),
        ]
        .into(),
        rows: result.self_checks.iter().map(row).collect(),
        detail: false,
    };
    table.part().into_iter().collect()
}

pub(super) fn warnings(result: &RunResult) -> Vec<Part> {
    let told: Vec<String> =
        result.warnings.iter().map(|warning| format!("{}. Hint: {}.", warning.message, warning.hint)).collect();
    if told.is_empty() { Vec::new() } else { vec![Part::List(told)] }
}
