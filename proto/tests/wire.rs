//! The decoder over every way in which a stream can be cut into reads.

use std::collections::VecDeque;

use proptest::prelude::*;
use proto::wire::{DecodeError, Decoder, MESSAGE_BYTES, Message, encode};

/// A kernel's stream: a read returns no more than asked for, and no more than the next chunk size.
struct Stream {
    bytes: VecDeque<u8>,
    fds: VecDeque<Option<usize>>,
    chunks: VecDeque<usize>,
}

impl Stream {
    fn of(messages: &[Message<usize>], chunks: Vec<usize>) -> Self {
        Self {
            bytes: messages.iter().flat_map(|m| encode(m.value)).collect(),
            fds: messages.iter().map(|m| m.fd).collect(),
            chunks: chunks.into(),
        }
    }

    fn read(&mut self, wanted: usize) -> (Vec<u8>, Option<usize>) {
        let at_start = self.bytes.len().is_multiple_of(MESSAGE_BYTES);
        let count = self.chunks.pop_front().unwrap_or(wanted).min(wanted);
        let bytes = self.bytes.drain(..count).collect();
        let fd = if at_start { self.fds.pop_front().flatten() } else { None };
        (bytes, fd)
    }
}

fn messages() -> impl Strategy<Value = Vec<Message<usize>>> {
    let message = (any::<i64>(), any::<Option<usize>>());
    prop::collection::vec(message.prop_map(|(value, fd)| Message { value, fd }), 0..40)
}

proptest! {
    #[test]
    fn any_cut_gives_the_same_messages_with_their_own_descriptors(
        sent in messages(),
        chunks in prop::collection::vec(1..=MESSAGE_BYTES, 0..200),
    ) {
        let mut stream = Stream::of(&sent, chunks);
        let mut decoder = Decoder::new();
        let mut received = Vec::new();
        while !stream.bytes.is_empty() {
            let wanted = decoder.wanted();
            prop_assert!((1..=MESSAGE_BYTES).contains(&wanted));
            let (bytes, fd) = stream.read(wanted);
            received.extend(decoder.feed(&bytes, fd).unwrap());
        }
        prop_assert_eq!(decoder.finish(), Ok(()));
        prop_assert_eq!(received, sent);
    }

    #[test]
    fn an_end_anywhere_within_a_message_is_told_with_its_place(
        value in any::<i64>(),
        fd in any::<Option<usize>>(),
        received in 1..MESSAGE_BYTES,
    ) {
        let mut decoder = Decoder::new();
        prop_assert_eq!(decoder.feed(&encode(value)[..received], fd), Ok(None));
        prop_assert_eq!(decoder.finish(), Err(DecodeError::EndWithinMessage { received }));
    }

    #[test]
    fn a_second_descriptor_is_an_error_wherever_the_message_is_cut(
        value in any::<i64>(),
        cut in 1..MESSAGE_BYTES,
    ) {
        let bytes = encode(value);
        let mut decoder = Decoder::new();
        prop_assert_eq!(decoder.feed(&bytes[..cut], Some(1)), Ok(None));
        let second = decoder.feed(&bytes[cut..], Some(2));
        prop_assert_eq!(second, Err(DecodeError::SecondDescriptor));
    }
}
