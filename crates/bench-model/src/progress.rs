//! What the initiator says on its stdout while it works: one JSON object per line.

use serde::{Deserialize, Serialize};

use crate::raw::GuestFacts;

/// A line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum Progress {
    /// The guest answered; measuring begins.
    Ready {
        /// What it said of itself.
        guest: Box<GuestFacts>,
    },
    /// A block is finished.
    Block {
        /// Blocks finished.
        done: usize,
        /// Blocks in the plan.
        of: usize,
    },
}
