//! What must hold of the parsers whatever the bytes are: one function a property, each taking bytes from anywhere.
//!
//! The fuzz targets feed them what a fuzzer invents (docs/protocol.md has the commands), the tests of `proto` and `bench-protocol`
//! what proptest invents: they include the same files, so that the two cannot drift apart.

pub mod protocol;
pub mod shared_memory;
