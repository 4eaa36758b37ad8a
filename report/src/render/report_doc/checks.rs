//! Self-checks and warnings.

use super::table::{SectionPart, Table, TableColumn, TableRow};
use super::value::Value;
use crate::result::{CheckOutcome, RunResult, SelfCheck};

/// How many self-checks passed, and the failed ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckSummary {
    /// For instance `15 of 15 self-checks passed`.
    pub text: String,
    /// The failed self-checks.
    pub failed: Vec<SelfCheck>,
}

impl CheckSummary {
    pub(super) fn new(result: &RunResult) -> Self {
        let count = |outcome| result.self_checks.iter().filter(|check| check.pass == outcome).count();
        let (passed, failed) = (count(CheckOutcome::Pass), count(CheckOutcome::Fail));
        let total = passed + failed;
        let not_applicable = match count(CheckOutcome::NotApplicable) {
            0 => String::new(),
            count => format!(", {count} not applicable"),
        };
        let text = match failed {
            0 => format!("{passed} of {total} self-checks passed{not_applicable}"),
            _ => format!("{failed} of {total} self-checks failed{not_applicable}"),
        };
        let failed = result.self_checks.iter().filter(|check| check.pass == CheckOutcome::Fail).cloned().collect();
        Self { text, failed }
    }

    /// Whether no self-check failed.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.failed.is_empty()
    }
}

/// Section "Self-checks".
pub(super) fn checks(result: &RunResult) -> Vec<SectionPart> {
    let row = |check: &SelfCheck| {
        let outcome = match check.pass {
            CheckOutcome::Pass => "passed",
            CheckOutcome::Fail => "FAILED",
            CheckOutcome::NotApplicable => "not applicable",
        };
        let values = [check.id.to_string(), outcome.to_owned(), check.name.clone(), check.detail.clone()];
        TableRow { mode: None, values: values.map(Value::word).into() }
    };
    let table = Table {
        id: "table-checks".to_owned(),
        caption: "Self-checks of this run".to_owned(),
        keys: 2,
        columns: [
            TableColumn::new("check", ""),
            TableColumn::prose("verdict"),
            TableColumn::prose("assertion"),
            TableColumn::prose("result"),
        ]
        .into(),
        rows: result.self_checks.iter().map(row).collect(),
        detail: false,
    };
    table.part().into_iter().collect()
}

/// Section "Warnings".
pub(super) fn warnings(result: &RunResult) -> Vec<SectionPart> {
    let warnings: Vec<String> =
        result.warnings.iter().map(|warning| format!("{}. Hint: {}.", warning.message, warning.hint)).collect();
    if warnings.is_empty() { Vec::new() } else { vec![SectionPart::List(warnings)] }
}
