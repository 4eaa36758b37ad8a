//! Offsets of the benchmark's structures in the shared memory.
//!
//! ```text
//! 0x0000  header    written by the host once per run, the nonce last
//! 0x1000  host      lines that only the host writes
//! 0x2000  guest     lines that only the guest writes
//! 0x3000  text      the guest's JSON and error texts
//! 0x4000  stamps    the guest's time stamps, per operation of a block
//! 4 MiB   slots     frames: a page for the header, then the payload
//! ```
//!
//! A line has 128 bytes: two cache lines, because the adjacent-line prefetcher fetches both. Each line has one writer. The
//! armed words are the exception: the receiver sets them, the sender claims them (see [`doorbell::arming`]).

use std::mem::offset_of;

use crate::words::{shared_struct, word_struct};

/// Granule of every structure; the page size of x86-64.
pub const PAGE: usize = 4096;
/// Words of a short message, next to the message word in its cache line.
pub const PAYLOAD_WORDS: usize = 7;
/// Maximum bytes of text, without its length word.
pub const MAX_TEXT: usize = PAGE - 8;
/// Entries of the stamp table: the maximum operations of a block, warm-up included.
pub const STAMP_COUNT: usize = 32_768;
/// Words of a line.
pub(crate) const LINE_WORDS: usize = 16;
/// Words of an entry of the stamp table: one cache line.
pub(crate) const STAMP_WORDS: usize = 8;
/// Offset of the first slot.
pub const SLOTS: usize = 4 << 20;

/// Lines of one writer.
#[repr(C, align(128))]
pub struct WriterLine<T>(pub T);

/// A page.
#[repr(C, align(4096))]
pub struct Page<T>(pub T);

shared_struct! {
    /// The fixed part of the region, before the slots.
    pub struct MemoryMap {
        /// The host's header.
        pub header: Page<Header>,
        /// The host's lines.
        pub host: Page<HostPage>,
        /// The guest's lines.
        pub guest: Page<GuestPage>,
        /// The guest's text.
        pub text: Page<Text>,
        /// The guest's time stamps.
        pub stamps: [[u64; STAMP_WORDS]; STAMP_COUNT],
    }
}

word_struct! {
    /// The header: the host's announcement of a run.
    pub struct Header {
        /// [`MAGIC`](crate::layout::MAGIC).
        pub magic: u64,
        /// [`VERSION`](crate::layout::VERSION).
        pub version: u64,
        /// [`fingerprint`](crate::fingerprint::fingerprint).
        pub fingerprint: u64,
        /// Identifies the run. Written last; zero before that.
        pub nonce: u64,
        /// The host's id, which the guest rings.
        pub host_peer: u64,
        /// Number of slots.
        pub slots: u64,
        /// Bytes per slot.
        pub stride: u64,
    }
}

shared_struct! {
    /// The lines that the host writes.
    pub struct HostPage {
        /// The message and its payload.
        pub message: WriterLine<MessageLine>,
        /// Set by the host before it blocks, claimed by the guest when it rings.
        pub armed: WriterLine<u64>,
        /// The command and its parameters.
        pub command: WriterLine<Command>,
    }
}

shared_struct! {
    /// A message.
    pub struct MessageLine {
        /// Sequence number and state.
        pub word: u64,
        /// A short message's payload. Of a frame: the number of its slot.
        pub payload: [u64; PAYLOAD_WORDS],
    }
}

shared_struct! {
    /// A command.
    pub struct Command {
        /// Epoch and command.
        pub word: u64,
        /// The parameters of RUN.
        pub params: [u64; LINE_WORDS - 1],
    }
}

shared_struct! {
    /// The lines that the guest writes.
    pub struct GuestPage {
        /// The acknowledgement.
        pub ack: WriterLine<Acknowledgement>,
        /// Set by the guest before it blocks, claimed by the host when it rings.
        pub armed: WriterLine<u64>,
        /// Epoch and status.
        pub status: WriterLine<u64>,
        /// The guest's answer to a header.
        pub hello: WriterLine<HelloWords>,
        /// The counters of the last block.
        pub counters: WriterLine<[u64; LINE_WORDS]>,
    }
}

shared_struct! {
    /// An acknowledgement.
    pub struct Acknowledgement {
        /// Sequence number and state.
        pub word: u64,
        /// The guest's time stamp, in clock handshakes.
        pub stamp: u64,
    }
}

shared_struct! {
    /// The guest's answer to a header.
    pub struct HelloWords {
        /// The header's nonce.
        pub nonce: u64,
        /// The guest's id.
        pub peer: u64,
    }
}

shared_struct! {
    /// The guest's text.
    pub struct Text {
        /// Bytes.
        pub len: u64,
        /// UTF-8.
        pub bytes: [u8; MAX_TEXT],
    }
}

/// The header's nonce.
pub(crate) const NONCE: usize = offset_of!(MemoryMap, header.0.nonce);
/// The message word.
pub const HOST_MESSAGE: usize = offset_of!(MemoryMap, host.0.message.0.word);
/// The message's payload.
pub const HOST_PAYLOAD: usize = offset_of!(MemoryMap, host.0.message.0.payload);
/// The host's armed word.
pub const HOST_ARMED: usize = offset_of!(MemoryMap, host.0.armed);
/// The command word.
pub const HOST_COMMAND: usize = offset_of!(MemoryMap, host.0.command.0.word);
/// The command's parameters.
pub(crate) const HOST_PARAMS: usize = offset_of!(MemoryMap, host.0.command.0.params);
/// The acknowledgement word.
pub const GUEST_ACK: usize = offset_of!(MemoryMap, guest.0.ack.0.word);
/// The guest's time stamp in clock handshakes.
pub const GUEST_STAMP: usize = offset_of!(MemoryMap, guest.0.ack.0.stamp);
/// The guest's armed word.
pub const GUEST_ARMED: usize = offset_of!(MemoryMap, guest.0.armed);
/// The status word.
pub const GUEST_STATUS: usize = offset_of!(MemoryMap, guest.0.status);
/// The nonce that the guest answers.
pub const GUEST_HELLO: usize = offset_of!(MemoryMap, guest.0.hello.0.nonce);
/// The guest's id.
pub(crate) const GUEST_PEER: usize = offset_of!(MemoryMap, guest.0.hello.0.peer);
/// The counters.
pub const GUEST_COUNTERS: usize = offset_of!(MemoryMap, guest.0.counters);
/// The length of the text.
pub const TEXT: usize = offset_of!(MemoryMap, text.0.len);
/// The bytes of the text.
pub(crate) const TEXT_BYTES: usize = offset_of!(MemoryMap, text.0.bytes);
/// The stamp table.
pub const STAMPS: usize = offset_of!(MemoryMap, stamps);

const _: () = assert!(size_of::<MemoryMap>() <= SLOTS);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_pages_and_lines_of_one_writer() {
        assert_eq!((HOST_MESSAGE, HOST_ARMED, HOST_COMMAND), (0x1000, 0x1080, 0x1100));
        assert_eq!((GUEST_ACK, GUEST_ARMED, GUEST_STATUS), (0x2000, 0x2080, 0x2100));
        assert_eq!((GUEST_HELLO, GUEST_COUNTERS), (0x2180, 0x2200));
        assert_eq!((TEXT, STAMPS), (0x3000, 0x4000));
    }
}
