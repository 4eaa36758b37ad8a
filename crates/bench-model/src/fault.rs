//! Faults injected to verify that a self-check catches each one.

use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantArray};

pub mod needs;

/// A fault that concerns one doorbell or message fires at this one of a block, counted from 1.
pub const FIRES_AT: u64 = 20;
/// The message of a block before which [`Fault::Stall`] stops the guest. Later than any warm-up.
pub const STALLS_AT: u64 = 300;

/// A deliberate fault, with the self-check that catches it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr, Serialize, Deserialize, VariantArray)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Fault {
    /// The guest stamps a frame as read when it has read a 64th of it.
    ShortRead,
    /// The host announces one measured frame with a wrong hash.
    WrongHash,
    /// The guest flips a bit of its copy of one frame.
    CorruptFrame,
    /// The guest ignores the result of its hash comparison.
    SkipVerify,
    /// The guest acknowledges a message before it was sent.
    EarlyAck,
    /// The host rings a doorbell that it does not count.
    UncountedDoorbell,
    /// The guest does not report a storm's last message.
    BlindStorm,
    /// The host counts one doorbell that it never rings.
    DropDoorbell,
    /// The guest counts one doorbell that it never rings.
    DropAnswer,
    /// The host sleeps instead of polling.
    SleepyHost,
    /// The guest sleeps instead of polling.
    SleepyGuest,
    /// The guest's stamp of its acknowledgement is a millisecond late.
    WrongStamp,
    /// The guest hashes a frame before it stamps it as read.
    ShortVerify,
    /// The guest's clock moves by 100 µs whenever it is compared.
    DriftingClock,
    /// xtask claims KVM with irqfd for an emulated guest; the initiator is not involved.
    ClaimKvm,
    /// The initiator moves to another CPU in the last block.
    Wander,
    /// The host delays each stamp.
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

    /// The self-check that must catch it, and the party that injects it.
    fn properties(self) -> (Option<u32>, Party) {
        use Party::{Guest, Host, Xtask};
        match self {
            Self::ShortRead => (Some(1), Guest),
            Self::WrongHash => (Some(2), Host),
            Self::CorruptFrame | Self::SkipVerify => (Some(2), Guest),
            Self::EarlyAck => (Some(3), Guest),
            Self::UncountedDoorbell => (Some(4), Host),
            Self::BlindStorm => (Some(5), Guest),
            Self::DropDoorbell => (Some(6), Host),
            Self::DropAnswer => (Some(6), Guest),
            Self::SleepyHost => (Some(7), Host),
            Self::SleepyGuest => (Some(7), Guest),
            Self::WrongStamp => (Some(8), Guest),
            Self::ShortVerify => (Some(9), Guest),
            Self::DriftingClock => (Some(10), Guest),
            Self::ClaimKvm => (Some(11), Xtask),
            Self::Wander => (Some(12), Host),
            Self::SlowStamps => (Some(13), Host),
            Self::Stall => (None, Guest),
        }
    }

    /// The self-check that must catch it; `None`: results show it, no check does.
    #[must_use]
    pub fn caught_by(self) -> Option<u32> {
        self.properties().0
    }

    /// Whether the guest injects it.
    #[must_use]
    pub fn is_guests(self) -> bool {
        self.properties().1 == Party::Guest
    }
}

/// The party that injects a fault.
#[derive(PartialEq, Eq)]
enum Party {
    Guest,
    Host,
    Xtask,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_name_equals_the_fault_name() {
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
