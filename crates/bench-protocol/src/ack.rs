//! The two-phase acknowledgement: NONE → RECEIVED → PROCESSED or ERROR(code).
//!
//! A word carries `sequence << 8 | state` and has one writer. The sequence number is part of the word, so
//! an acknowledgement cannot be attributed to another message.

/// A word with a sequence number (56 bits) and a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeqState {
    /// The operation, or epoch, that the state belongs to.
    pub seq: u64,
    /// The state.
    pub state: u8,
}

impl SeqState {
    /// The word in memory.
    #[must_use]
    pub const fn pack(seq: u64, state: u8) -> u64 {
        seq << 8 | state as u64
    }

    /// The word's parts.
    #[must_use]
    pub const fn unpack(word: u64) -> Self {
        Self { seq: word >> 8, state: (word & 0xff) as u8 }
    }
}

/// State of a message word: the host has published the operation.
pub const SENT: u8 = 1;
/// State of a message word: the previous message was the last of the block.
pub const END: u8 = 4;
/// State of an acknowledgement: the guest has detected the message.
pub const RECEIVED: u8 = 2;
/// State of an acknowledgement: the guest has verified the message.
pub const PROCESSED: u8 = 3;
/// First state that is an error.
const ERROR: u8 = 0x80;

/// Why a guest refused a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum NackReason {
    /// The payload does not match its SHA-256.
    Hash = ERROR,
    /// The slot's number or header is not valid.
    Header = ERROR + 1,
    /// The checksum of a short message is wrong.
    Payload = ERROR + 2,
}

/// An acknowledgement, read by the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ack {
    /// First phase.
    Received,
    /// Second phase, verified.
    Processed,
    /// Second phase, refused.
    Refused(NackReason),
    /// Not a state of the protocol: the other side is faulty.
    Unknown(u8),
}

impl Ack {
    /// The acknowledgement of a state byte.
    #[must_use]
    pub const fn from_state(state: u8) -> Self {
        const HASH: u8 = NackReason::Hash as u8;
        const HEADER: u8 = NackReason::Header as u8;
        const PAYLOAD: u8 = NackReason::Payload as u8;
        match state {
            RECEIVED => Self::Received,
            PROCESSED => Self::Processed,
            HASH => Self::Refused(NackReason::Hash),
            HEADER => Self::Refused(NackReason::Header),
            PAYLOAD => Self::Refused(NackReason::Payload),
            other => Self::Unknown(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn word_keeps_its_parts(seq in 0_u64..1 << 56, state: u8) {
            prop_assert_eq!(SeqState::unpack(SeqState::pack(seq, state)), SeqState { seq, state });
        }
    }

    #[test]
    fn every_state_has_one_meaning() {
        assert_eq!(Ack::from_state(RECEIVED), Ack::Received);
        assert_eq!(Ack::from_state(PROCESSED), Ack::Processed);
        for refusal in [NackReason::Hash, NackReason::Header, NackReason::Payload] {
            assert_eq!(Ack::from_state(refusal as u8), Ack::Refused(refusal));
        }
        assert_eq!(Ack::from_state(0), Ack::Unknown(0));
        assert_eq!(Ack::from_state(SENT), Ack::Unknown(SENT));
    }
}
