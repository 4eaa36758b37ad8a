//! A host process as a peer of an ivshmem server: joins, maps the memory, rings, waits; and the measured initiator.
//! It starts no other process, draws nothing, and computes no statistics: `report` does, from what it writes.
//!
//! Read in this order:
//! 1. [`client`]: join, map, ring, wait, and who else is there.
//! 2. [`mod@bench`]: the initiator, block by block.

pub mod bench;
pub mod client;
