//! Arbitrary streams in arbitrary parts, with descriptors.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| proto_fuzz::protocol::decoder(data));
