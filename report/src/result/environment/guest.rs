//! Facts that only the guest can see. Untrusted: shown, never relied on.

use serde::{Deserialize, Serialize};

/// The guest's view of its machine. `None`: not reported.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct GuestMachine {
    /// The processor that the guest sees.
    pub guest_cpu_model: Option<String>,
    /// The guest kernel's command line.
    pub guest_command_line: Option<String>,
    /// Steal time since the guest's boot, in per cent, at the start of the run.
    pub guest_steal_percent: Option<f64>,
}
