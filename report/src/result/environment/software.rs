//! Programs of a run: the facts that are needed to build and start them again.

use serde::{Deserialize, Serialize};

/// The programs of a run. `None`: not known.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Software {
    /// The compiler, as `rustc -V` prints it.
    pub rustc_version: Option<String>,
    /// Cargo's profile of the programs on the host.
    pub build_profile: Option<String>,
    /// QEMU's command line, without console and monitor. Its `-append` has the guest kernel's command line.
    pub qemu_command: Option<String>,
    /// The guest's processor as QEMU's `-cpu` option: model and flags, such as `host` or `max,phys-bits=46`.
    pub qemu_cpu: Option<String>,
}
