//! The benchmark's protocol in shared memory, for host and guest. No policy, no async, no printing.
//!
//! 1. [`memory_map`]: the structures and their offsets; [`fingerprint`]: a hash of them; `words`: how they are copied.
//! 2. [`layout`], [`frame`] and [`stream`]: the slots of a run, a frame's header, a stream's ring.
//! 3. [`ack`]: the two-phase acknowledgement.
//! 4. [`control`]: the host's commands; [`hello`], [`counters`] and [`guest_stamps`]: the guest's results.
//! 5. [`boot`]: the guest program's boot parameters and console lines.
//! 6. [`clock`]: the guest's time stamps on the host's time line; [`peak_bandwidth`]: peak bandwidth of each side's memory.

pub mod ack;
pub mod boot;
pub mod clock;
pub mod control;
pub mod counters;
pub mod fingerprint;
pub mod frame;
pub mod guest_stamps;
pub mod hello;
pub mod layout;
pub mod memory_map;
pub mod peak_bandwidth;
pub mod stream;
mod words;
