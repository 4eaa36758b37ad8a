//! What a block measures.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Which question a block asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Workload {
    /// Least latency: a closed loop of 64-byte messages.
    Pingpong,
    /// What a periodic user sees: a closed loop with a gap before each message.
    Paced,
    /// Latency at an offered rate: messages are due at times that do not wait for answers.
    Openloop,
    /// Frames of a given size, written, announced, read and verified.
    Frame,
    /// Messages and bytes per second through a ring of slots.
    Stream,
    /// Coalescing: doorbells that wait for nothing.
    Storm,
    /// What waiting costs when nothing comes.
    Idle,
    /// Pingpong and paced beside threads that want the same cores.
    Contention,
}

impl Workload {
    /// Every workload, in the order in which cells come.
    pub const ALL: [Self; 8] = [
        Self::Pingpong,
        Self::Paced,
        Self::Openloop,
        Self::Frame,
        Self::Stream,
        Self::Storm,
        Self::Idle,
        Self::Contention,
    ];

    /// Its name, as `--workload` takes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pingpong => "pingpong",
            Self::Paced => "paced",
            Self::Openloop => "openloop",
            Self::Frame => "frame",
            Self::Stream => "stream",
            Self::Storm => "storm",
            Self::Idle => "idle",
            Self::Contention => "contention",
        }
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

    /// Whether each message waits for the answer to the one before: then each doorbell is one interrupt.
    #[must_use]
    pub fn is_closed_loop(self) -> bool {
        !matches!(self, Self::Stream | Self::Storm | Self::Idle)
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
