//! Arbitrary sequences of messages to a client.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| proto_fuzz::protocol::session(data));
