//! How a side waits for the other.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How a side waits for the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "Wait"))]
#[serde(rename_all = "lowercase")]
pub enum WaitMode {
    /// Busy polling of the word in shared memory.
    Poll,
    /// Blocks until the doorbell's interrupt (guest) or eventfd (host).
    Irq,
    /// Spins for a limited time, then blocks.
    Hybrid,
}

impl WaitMode {
    /// All wait modes.
    pub const ALL: [Self; 3] = [Self::Poll, Self::Irq, Self::Hybrid];

    /// Its name, as `--mode` takes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Poll => "poll",
            Self::Irq => "irq",
            Self::Hybrid => "hybrid",
        }
    }

    /// Its description in a line, for `--help`.
    #[must_use]
    pub fn help(self) -> &'static str {
        match self {
            Self::Poll => "Busy polling",
            Self::Irq => "Block until the doorbell's interrupt",
            Self::Hybrid => "Busy polling for a while, then block",
        }
    }

    /// Whether it needs doorbells.
    #[must_use]
    pub fn blocks(self) -> bool {
        self != Self::Poll
    }
}

impl fmt::Display for WaitMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
