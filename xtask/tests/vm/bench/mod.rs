//! `cargo xtask bench`: its results, its self-checks and its failures.

mod acceleration;
pub(crate) mod failures;
mod faults;
mod named_kernel;
mod placement;
pub(crate) mod results;
mod syscalls;
mod workloads;
