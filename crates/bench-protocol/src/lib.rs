//! What the benchmark's host and guest exchange in shared memory. No policy, no async, no printing.
//!
//! 1. [`layout`], [`frame`] and [`stream`]: offsets and structures.
//! 2. [`ack`]: the two-phase acknowledgement.
//! 3. [`control`]: how the host drives the guest; [`hello`], [`counters`] and [`guest_stamps`]: what the guest returns.
//! 4. [`boot`]: the guest program's boot parameters and console lines.
//! 5. [`clock`]: the guest's time stamps on the host's time line; [`peak_bandwidth`]: peak bandwidth of each side's memory.

pub mod ack;
pub mod boot;
pub mod clock;
pub mod control;
pub mod counters;
pub mod frame;
pub mod guest_stamps;
pub mod hello;
pub mod layout;
pub mod peak_bandwidth;
pub mod stream;
