//! Describes the host, from /proc and /sys. Missing values do not fail a run.
//!
//! 1. [`host`](mod@host) describes the hardware and its settings.
//! 2. [`load`] measures the other load, before and during the run.
//! 3. [`software`](mod@software) records compiler and QEMU.

mod host;
mod load;
mod software;

pub(super) use host::read as host;
pub(super) use load::{CpuMeter, busy_cpus, load_average};
pub(super) use software::{git_revision, software};
