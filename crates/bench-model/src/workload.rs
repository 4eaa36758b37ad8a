//! What a block measures.

use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantArray};

/// What a block measures.
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
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Workload {
    /// Minimum latency: a closed loop of 64-byte messages.
    Pingpong,
    /// A closed loop with a gap before each message, as a periodic user sees it.
    Paced,
    /// Latency at an offered load: messages have scheduled times that do not depend on acknowledgements.
    Openloop,
    /// Frames of a given size, written, announced, read and verified.
    Frame,
    /// Messages and bytes per second through a ring of slots.
    Stream,
    /// Coalescing: doorbells without waiting for acknowledgement.
    Storm,
    /// The cost of waiting while nothing arrives.
    Idle,
    /// Pingpong and paced with busy threads on the same cores.
    Contention,
}

impl Workload {
    /// Every workload, in the order of cells.
    pub const ALL: [Self; Self::VARIANTS.len()] = *Self::VARIANTS.first_chunk().expect("as many");

    /// The spelling of `--workload`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// Its description in a line, for `--help`.
    #[must_use]
    pub fn help(self) -> &'static str {
        match self {
            Self::Pingpong => "Round trips of 64 bytes, back to back",
            Self::Paced => "The same with a gap before each message",
            Self::Openloop => "Messages sent at a fixed and at a random rate, independent of acknowledgements",
            Self::Frame => "1080p, 1440p and 4K frames, verified, cold and warm",
            Self::Stream => "Maximum throughput through a ring of slots",
            Self::Storm => "Doorbells that do not wait for acknowledgement",
            Self::Idle => "Waiting without messages",
            Self::Contention => "Pingpong and paced with busy threads, and with both sides on one core",
        }
    }

    /// What its blocks exchange.
    #[must_use]
    pub fn exchange(self) -> Exchange {
        match self {
            Self::Pingpong | Self::Paced | Self::Openloop | Self::Contention => Exchange::Messages,
            Self::Frame => Exchange::Frames,
            Self::Stream => Exchange::Stream,
            Self::Storm => Exchange::Storm,
            Self::Idle => Exchange::Idle,
        }
    }

    /// Whether each message is acknowledged before the next: then each doorbell is one interrupt.
    #[must_use]
    pub fn acknowledges_each(self) -> bool {
        matches!(self.exchange(), Exchange::Messages | Exchange::Frames)
    }

    /// Whether it copies many bytes, so the peak bandwidth limits it.
    #[must_use]
    pub fn copies(self) -> bool {
        matches!(self.exchange(), Exchange::Frames | Exchange::Stream)
    }
}

/// What host and guest exchange in a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exchange {
    /// Short messages, each acknowledged before the next.
    Messages,
    /// Frames in slots, each acknowledged before the next.
    Frames,
    /// Messages in a ring of slots.
    Stream,
    /// Messages and doorbells; only the last message is acknowledged.
    Storm,
    /// A single message, after the measurement.
    Idle,
}
