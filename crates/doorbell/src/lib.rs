//! Shared memory and doorbells, for the host peer and the guest.
//!
//! 1. [`region`]: memory that the other side writes too.
//! 2. [`wait`]: wait modes and notifiers, and the protocol between them; [`bell`]: a notifier that always rings;
//!    [`dozing`]: a waiter that sleeps between two looks; [`word`]: the operations that they need.
//! 3. [`tsc`]: the time stamp counter; [`deadline`]: the factor for slow machines.

pub mod bell;
pub mod deadline;
pub mod dozing;
pub mod region;
pub mod tsc;
pub mod wait;
pub mod word;

/// The address of a doorbell: a peer, and one of its interrupt vectors.
pub use proto::wire::{PeerId, Vector};
