//! The contract between xtask, the initiator and the report: plan, raw measurements, samples, units and the benchmark's
//! enumerations.
//!
//! 1. [`plan`]: the blocks to measure, written by xtask and read by the initiator. Each block has [`conditions`]; the plan
//!    has a [`pinning`] and, in a test of the self-checks, a [`fault`].
//! 2. [`raw`], [`thread_usage`] and [`samples`]: the initiator's measurements, per block and per operation. [`journal`] is
//!    the file that receives each finished block, [`progress`] the initiator's output on stdout.
//! 3. [`copy_speed`] and [`units`]: what several crates derive or print in the same way.

pub mod accelerator;
pub mod conditions;
pub mod copy_speed;
pub mod fault;
pub mod journal;
pub mod pinning;
pub mod plan;
pub mod progress;
pub mod raw;
pub mod samples;
pub mod thread_usage;
pub mod units;
pub mod wait_mode;
pub mod workload;

pub use crate::accelerator::{ASKED_FOR, Accelerator};
pub use crate::conditions::{Arrivals, Conditions};
pub use crate::fault::Fault;
pub use crate::pinning::Pinning;
pub use crate::plan::{Block, Plan, QemuThreads};
pub use crate::wait_mode::WaitMode;
pub use crate::workload::{Exchange, Workload};
