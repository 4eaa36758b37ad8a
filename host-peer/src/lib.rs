//! Checks whether an ivshmem server conforms to the protocol. The rest of this package is the `host-peer` command: the
//! client library is the crate `client`, the measured initiator the crate `initiator`.

pub mod conformance;
