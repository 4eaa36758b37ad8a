//! Describes the host, from /proc and /sys. Missing values do not fail a run.
//!
//! 1. [`sysroot`] reads small files below a root, which tests replace.
//! 2. [`processor`], [`power`], [`process`] and [`host`](mod@host) describe the hardware and its settings.
//! 3. [`load`] measures the other load, before and during the run.
//! 4. [`software`](mod@software) records compiler and QEMU.

mod host;
mod load;
mod power;
mod process;
mod processor;
mod software;
mod sysroot;

pub(super) use load::{StealMeter, busy_cpus, load_average};
pub(super) use software::software;

use report::result::environment::HostMachine;
use sysroot::SysRoot;

/// Describes this host.
pub(super) fn host() -> HostMachine {
    host::read(&SysRoot::real())
}
