//! The initiator's output on stdout: one JSON object per line.

use serde::{Deserialize, Serialize};

use crate::raw::GuestFacts;

/// A line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum Progress {
    /// The guest is ready; measuring begins.
    Ready {
        /// Facts reported by the guest.
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
