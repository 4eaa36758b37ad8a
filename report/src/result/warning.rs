//! What limits a run's figures, with a hint.

use serde::{Deserialize, Serialize};

/// Something that does not make a run wrong but that its reader should know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Warning {
    /// What was seen, with numbers.
    pub message: String,
    /// What to do about it.
    #[serde(rename = "cure")]
    pub hint: String,
}
