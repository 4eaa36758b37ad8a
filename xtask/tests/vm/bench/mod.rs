//! `cargo xtask bench`: its results, its self-checks and its failures.

mod acceleration;
pub(crate) mod failures;
pub(crate) mod faults;
mod named_kernel;
mod placement;
pub(crate) mod results;
mod syscalls;
pub(crate) mod workloads;
