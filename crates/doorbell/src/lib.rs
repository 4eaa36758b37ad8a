//! Shared memory and doorbells, for the host peer and the guest.
//!
//! 1. [`region`]: memory that the other side writes at the same time.
//! 2. [`arming`]: the protocol between a blocking receiver and its sender; [`wait`]: wait modes; [`notify`]: notifiers;
//!    [`sleep_poll`]: a deliberately slow waiter.
//! 3. [`tsc`]: the time stamp counter; [`deadline`]: the timeout factor for slow machines.

pub mod arming;
pub mod deadline;
pub mod notify;
pub mod region;
pub mod sleep_poll;
pub mod tsc;
pub mod wait;

/// The address of a doorbell: a peer, and one of its interrupt vectors.
pub use proto::wire::{PeerId, Vector};
