//! What the machine is, read from /proc and /sys: each reading may be missing, none is worth failing a run.
//!
//! 1. [`sysroot`]: small files below one root, so that tests can bring a machine of their own.
//! 2. [`processor`], [`power`], [`process`] and [`host`](mod@host): the host's part of the environment.
//! 3. [`load`]: what else it has to do, before and during the run.
//! 4. [`software`](mod@software): what was built and started.

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

/// This machine.
pub(super) fn host() -> HostMachine {
    host::read(&SysRoot::of_this_machine())
}
