//! A limit of the results, with a hint.

use serde::{Deserialize, Serialize};

/// A limit of the results that does not make the run wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Warning {
    /// The message, with numbers.
    pub message: String,
    /// The hint.
    #[serde(rename = "cure")]
    pub hint: String,
}

impl Warning {
    pub(crate) fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: hint.into() }
    }
}
