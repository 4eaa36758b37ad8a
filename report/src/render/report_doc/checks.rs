//! Self-checks and warnings.

use super::{Column, SectionPart, Table, Value};
use crate::render::wrap::{elided, wrapped_to};
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
    /// Counts the self-checks of a result.
    #[must_use]
    pub fn new(result: &RunResult) -> Self {
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

    /// The failed self-checks with their details, each in at most `max` lines of `columns` columns.
    pub(crate) fn failed_lines(&self, columns: usize, max: usize) -> Vec<String> {
        let lines = |check: &SelfCheck| {
            let head = format!("  FAILED {} {}: ", check.id, check.name);
            // The reason is often at the end of the detail, so the middle is removed. Line breaks need some space.
            let each = columns.saturating_sub(if max > 1 { 16 } else { 0 });
            let free = (each * max).saturating_sub(head.chars().count());
            wrapped_to(&format!("{head}{}", elided(&check.detail, free)), columns, max)
        };
        self.failed.iter().flat_map(lines).collect()
    }

    /// Whether no self-check failed.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.failed.is_empty()
    }
}

/// Section "Self-checks".
pub(super) fn checks(result: &RunResult) -> Vec<SectionPart> {
    const COLUMNS: [Column<SelfCheck>; 4] = [
        ("check", "", |check| Value::word(check.id.to_string())),
        ("verdict", "", |check| {
            Value::word(match check.pass {
                CheckOutcome::Pass => "passed",
                CheckOutcome::Fail => "FAILED",
                CheckOutcome::NotApplicable => "not applicable",
            })
        }),
        ("assertion", "", |check| Value::word(&check.name)),
        ("result", "", |check| Value::word(&check.detail)),
    ];
    let table = Table::new("table-checks", "Self-checks of this run", 2, &COLUMNS, &result.self_checks);
    table.with_prose(&["verdict", "assertion", "result"]).part().into_iter().collect()
}

/// Section "Warnings".
pub(super) fn warnings(result: &RunResult) -> Vec<SectionPart> {
    let warnings: Vec<String> =
        result.warnings.iter().map(|warning| format!("{}. Hint: {}.", warning.message, warning.hint)).collect();
    if warnings.is_empty() { Vec::new() } else { vec![SectionPart::List(warnings)] }
}
