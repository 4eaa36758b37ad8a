//! A self-check's outcome.

use serde::{Deserialize, Serialize};

/// How a self-check ended; `true`, `false` or `null` in the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "Verdict"))]
#[serde(into = "Option<bool>", from = "Option<bool>")]
pub enum CheckOutcome {
    /// It looked and found nothing wrong.
    Pass,
    /// It found something wrong.
    Fail,
    /// There was nothing that it could look at, or nothing that it could judge.
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

/// One thing that the run verified about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct SelfCheck {
    /// Its number, the same in every run.
    pub id: u32,
    /// What it asserts.
    pub name: String,
    /// Whether that held.
    pub pass: CheckOutcome,
    /// What was seen, with numbers.
    pub detail: String,
}
