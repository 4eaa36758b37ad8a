//! Arbitrary contents of the shared memory.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| proto_fuzz::shared_memory::layout(data));
