//! The words of the shared memory that the host accesses, with offsets resolved once.

use std::sync::atomic::{AtomicU64, Ordering};

use bench_protocol::ack::{END, SENT, SeqState};
use bench_protocol::control::{read_command, read_status};
use bench_protocol::layout::Layout;
use bench_protocol::memory_map::{
    GUEST_ACK, GUEST_ARMED, GUEST_STAMP, HOST_ARMED, HOST_MESSAGE, HOST_PAYLOAD, PAYLOAD_WORDS,
};
use doorbell::region::{RegionError, SharedRegion};

/// References to the words.
#[derive(Debug)]
pub(super) struct SharedWords<'m> {
    pub(super) memory: &'m SharedRegion,
    pub(super) layout: Layout,
    message: &'m AtomicU64,
    payload: [&'m AtomicU64; PAYLOAD_WORDS],
    /// The guest's acknowledgement.
    pub(super) ack: &'m AtomicU64,
    /// The guest's time stamp, in clock handshakes.
    pub(super) stamp: &'m AtomicU64,
    /// Set by the host before it blocks.
    pub(super) host_armed: &'m AtomicU64,
    /// Set by the guest before it blocks.
    pub(super) guest_armed: &'m AtomicU64,
}

impl<'m> SharedWords<'m> {
    pub(super) fn new(memory: &'m SharedRegion, layout: Layout) -> Result<Self, RegionError> {
        let message = memory.word(HOST_MESSAGE)?;
        let mut payload = [message; PAYLOAD_WORDS];
        for (i, word) in payload.iter_mut().enumerate() {
            *word = memory.word(HOST_PAYLOAD + 8 * i)?;
        }
        Ok(Self {
            memory,
            layout,
            message,
            payload,
            ack: memory.word(GUEST_ACK)?,
            stamp: memory.word(GUEST_STAMP)?,
            host_armed: memory.word(HOST_ARMED)?,
            guest_armed: memory.word(GUEST_ARMED)?,
        })
    }

    /// Writes the payload of the next message.
    #[inline]
    pub(super) fn write_payload(&self, words: [u64; PAYLOAD_WORDS]) {
        for (word, value) in self.payload.iter().zip(words) {
            word.store(value, Ordering::Relaxed);
        }
    }

    /// Publishes a message.
    #[inline]
    pub(super) fn publish(&self, seq: u64) {
        // SYNC POINT: pairs with the guest's acquire of the message word.
        self.message.store(SeqState::pack(seq, SENT), Ordering::Release);
    }

    /// Publishes the end of the block: the previous message was the last.
    pub(super) fn publish_end(&self, seq: u64) {
        self.message.store(SeqState::pack(seq, END), Ordering::Release);
    }

    /// The state of both sides, for error messages.
    pub(super) fn states(&self) -> String {
        let message = SeqState::unpack(self.message.load(Ordering::Acquire));
        let ack = SeqState::unpack(self.ack.load(Ordering::Acquire));
        let armed = |word: &AtomicU64| if word.load(Ordering::Acquire) == 0 { "not armed" } else { "armed" };
        let show = |word: Result<SeqState, RegionError>| match word {
            Ok(SeqState { seq, state }) => format!("{seq}/{state}"),
            Err(error) => error.to_string(),
        };
        format!(
            "message {}/{}, acknowledgement {}/{:#04x}, command {}, status {}, host {}, guest {}",
            message.seq,
            message.state,
            ack.seq,
            ack.state,
            show(read_command(self.memory)),
            show(read_status(self.memory)),
            armed(self.host_armed),
            armed(self.guest_armed),
        )
    }
}
