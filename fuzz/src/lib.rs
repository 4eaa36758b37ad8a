//! Properties of the parsers for arbitrary bytes, one function per property.
//!
//! The fuzz targets and the proptests of `proto` and `bench-protocol` include the same files, so both check the same
//! properties. docs/protocol.md has the commands for the fuzz targets.

pub mod protocol;
pub mod shared_memory;
