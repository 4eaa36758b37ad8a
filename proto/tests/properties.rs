//! The fuzzed properties with inputs of proptest: the same functions, from the same file.

use proptest::prelude::*;

#[expect(unreachable_pub, reason = "the fuzz targets use them from another crate")]
#[path = "../../fuzz/src/protocol.rs"]
mod protocol;

/// The first messages to a client, in the session's encoding.
const HANDSHAKE: [u8; 9] = [1, 0, 0, 3, 0, 0, 0, 0, 1];

proptest! {
    #[test]
    fn any_stream_is_decoded_or_an_error(data in prop::collection::vec(any::<u8>(), 0..600)) {
        protocol::decoder(&data);
    }

    #[test]
    fn any_messages_match_the_model(data in prop::collection::vec(any::<u8>(), 0..300)) {
        protocol::session(&data);
        protocol::session(&[&HANDSHAKE[..], &data].concat());
    }
}
