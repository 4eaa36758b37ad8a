//! The properties that are fuzzed, with what proptest invents: the same functions, from the same file.

use proptest::prelude::*;

#[expect(unreachable_pub, reason = "the fuzz targets use them from another crate")]
#[path = "../../fuzz/src/protocol.rs"]
mod protocol;

/// What a client is told at first, in the session's encoding.
const GREETING: [u8; 9] = [1, 0, 0, 3, 0, 0, 0, 0, 1];

proptest! {
    #[test]
    fn any_cut_of_any_stream_is_decoded_or_named(data in prop::collection::vec(any::<u8>(), 0..600)) {
        protocol::decoder(&data);
    }

    #[test]
    fn any_messages_mean_what_a_count_says(data in prop::collection::vec(any::<u8>(), 0..300)) {
        protocol::session(&data);
        protocol::session(&[&GREETING[..], &data].concat());
    }
}
