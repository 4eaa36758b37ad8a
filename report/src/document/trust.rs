//! How far to trust it: what the run verified about itself, and what a reader should know.

use crate::result::{RunResult, Verdict};

use super::table::{Column, Part, Row, Table};
use super::value::Value;

pub(super) fn checks(result: &RunResult) -> Vec<Part> {
    let row = |check: &crate::result::SelfCheck| {
        let verdict = match check.pass {
            Verdict::Pass => "passed",
            Verdict::Fail => "FAILED",
            Verdict::NotApplicable => "not applicable",
        };
        let words = [check.id.to_string(), verdict.to_owned(), check.name.clone(), check.detail.clone()];
        Row { mode: None, values: words.map(Value::word).into() }
    };
    let table = Table {
        id: "table-checks".to_owned(),
        caption: "What the run verified about itself".to_owned(),
        keys: 2,
        columns: [Column::new("check", ""), Column::prose("verdict"), Column::prose("claim"), Column::prose("seen")]
            .into(),
        rows: result.self_checks.iter().map(row).collect(),
        detail: false,
    };
    table.part().into_iter().collect()
}

pub(super) fn warnings(result: &RunResult) -> Vec<Part> {
    let told: Vec<String> =
        result.warnings.iter().map(|warning| format!("{}. Cure: {}.", warning.message, warning.cure)).collect();
    if told.is_empty() { Vec::new() } else { vec![Part::List(told)] }
}
