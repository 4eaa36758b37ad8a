//! Any cut of any stream, with descriptors anywhere.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| proto_fuzz::protocol::decoder(data));
