//! How a side waits for the other.

use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantArray};

/// How a side waits for the other.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    strum::Display,
    IntoStaticStr,
    Serialize,
    Deserialize,
    VariantArray,
)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "Wait"))]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
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
    pub const ALL: [Self; Self::VARIANTS.len()] = *Self::VARIANTS.first_chunk().expect("as many");

    /// Its name, as `--mode` takes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
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
