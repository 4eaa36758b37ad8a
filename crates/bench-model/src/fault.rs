//! Faults injected to verify that a self-check catches each one.

use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantArray};

/// A deliberate fault, with the self-check that catches it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr, Serialize, Deserialize, VariantArray)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Fault {
    /// The guest stamps a frame as read when it has read a quarter of it (1).
    ShortRead,
    /// The host announces one measured frame with a wrong hash (2).
    WrongHash,
    /// The guest flips a bit of its copy of one frame (2).
    CorruptFrame,
    /// The guest ignores the result of its hash comparison (2).
    SkipVerify,
    /// The guest acknowledges a message before it was sent (3).
    EarlyAck,
    /// The host rings a doorbell that it does not count (4).
    UncountedDoorbell,
    /// The guest does not report a storm's last message (5).
    BlindStorm,
    /// The host counts one doorbell that it never rings (6).
    DropDoorbell,
    /// The guest counts one doorbell that it never rings (6).
    DropAnswer,
    /// The host sleeps instead of polling (7).
    SleepyHost,
    /// The guest sleeps instead of polling (7).
    SleepyGuest,
    /// The guest's stamp of its answer is a millisecond late (8).
    WrongStamp,
    /// The guest hashes a frame before it stamps it as read (9).
    ShortVerify,
    /// The guest's clock moves by 100 µs whenever it is compared (10).
    DriftingClock,
    /// xtask claims KVM with irqfd for an emulated guest; the initiator is not involved (11).
    ClaimKvm,
    /// The initiator moves to another CPU in the last block (12).
    Wander,
    /// The host delays each stamp (13).
    SlowStamps,
    /// The guest stops once for 200 ms. No check fails: the corrected latencies of the open loop show it.
    Stall,
}

impl Fault {
    /// Every fault.
    pub const ALL: [Self; Self::VARIANTS.len()] = *Self::VARIANTS.first_chunk().expect("as many");

    /// The spelling of `--fault`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// The self-check that must catch it; `None`: results show it, no check does.
    #[must_use]
    pub fn caught_by(self) -> Option<u32> {
        Some(match self {
            Self::ShortRead => 1,
            Self::WrongHash | Self::CorruptFrame | Self::SkipVerify => 2,
            Self::EarlyAck => 3,
            Self::UncountedDoorbell => 4,
            Self::BlindStorm => 5,
            Self::DropDoorbell | Self::DropAnswer => 6,
            Self::SleepyHost | Self::SleepyGuest => 7,
            Self::WrongStamp => 8,
            Self::ShortVerify => 9,
            Self::DriftingClock => 10,
            Self::ClaimKvm => 11,
            Self::Wander => 12,
            Self::SlowStamps => 13,
            Self::Stall => return None,
        })
    }

    /// Whether the guest injects it.
    #[must_use]
    pub fn is_guests(self) -> bool {
        matches!(
            self,
            Self::ShortRead
                | Self::CorruptFrame
                | Self::SkipVerify
                | Self::EarlyAck
                | Self::BlindStorm
                | Self::DropAnswer
                | Self::SleepyGuest
                | Self::WrongStamp
                | Self::ShortVerify
                | Self::DriftingClock
                | Self::Stall
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_has_one_name_wherever_it_is_written() {
        for fault in Fault::ALL {
            let text = serde_json::to_string(&fault).expect("JSON");
            assert_eq!(text, format!("\"{}\"", fault.name()));
        }
    }

    #[test]
    fn every_self_check_has_a_fault_that_it_catches() {
        // Processes that die are caught by 14 and 15.
        for id in 1..=13 {
            assert!(Fault::ALL.iter().any(|fault| fault.caught_by() == Some(id)), "check {id}");
        }
    }
}
