//! A self-check's outcome.

use serde::{Deserialize, Serialize};

/// How a self-check ended; `true`, `false` or `null` in the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "Verdict"))]
#[serde(into = "Option<bool>", from = "Option<bool>")]
pub enum CheckOutcome {
    /// No fault found.
    Pass,
    /// A fault was found.
    Fail,
    /// Nothing to check, or inconclusive.
    NotApplicable,
}

impl From<CheckOutcome> for Option<bool> {
    fn from(verdict: CheckOutcome) -> Self {
        match verdict {
            CheckOutcome::Pass => Some(true),
            CheckOutcome::Fail => Some(false),
            CheckOutcome::NotApplicable => None,
        }
    }
}

impl From<Option<bool>> for CheckOutcome {
    fn from(pass: Option<bool>) -> Self {
        match pass {
            Some(true) => Self::Pass,
            Some(false) => Self::Fail,
            None => Self::NotApplicable,
        }
    }
}

/// One self-check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct SelfCheck {
    /// Its number, stable across runs.
    pub id: u32,
    /// The assertion.
    pub name: String,
    /// Its outcome.
    pub pass: CheckOutcome,
    /// Details, with numbers.
    pub detail: String,
}
