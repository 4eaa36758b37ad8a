//! What else the host had to do: before the run, and while it lasted.

use serde::{Deserialize, Serialize};

/// Competition for the CPUs. `None`: this machine does not say.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default)]
pub struct HostLoad {
    /// Tasks that ran or wanted to, averaged over the minute before the run.
    pub load_average: Option<f64>,
    /// How many of the run's CPUs others kept busy in the moment before the guest was started.
    pub busy_cpus: Option<f64>,
    /// Share of the time of the run's CPUs that the hypervisor gave to others while the run lasted, in per cent.
    pub steal_percent: Option<f64>,
    /// Times that the initiator and the virtual CPUs were put off their CPUs while operations were measured, contention left
    /// out: there it is the point.
    pub involuntary_switches: Option<u64>,
}
