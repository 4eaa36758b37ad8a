//! The result of a run (`result.json`), which scripts and later versions read: names here are a promise, and a change
//! that breaks a reader raises [`SCHEMA_VERSION`].

use serde::{Deserialize, Serialize};

use bench_model::raw::{Overhead, PeakBandwidths};

mod cell;
pub mod cell_key;
pub mod comparison;
mod cpu;
pub mod environment;
pub mod findings;
pub mod metric;
mod self_check;
mod warning;

pub use self::cell::{Cell, CellCounters, Legs, PhaseRates};
pub use self::cell_key::{CellId, CellKey};
pub use self::comparison::{Basis, Comparison, MeanRatio};
pub use self::cpu::{Cpu, PerfPerOp, SwitchesPerOp, ThreadCounts};
pub use self::environment::Environment;
pub use self::findings::{BreakEven, Capacity, ContentionResult, Findings};
pub use self::metric::{Latencies, Metric};
pub use self::self_check::{CheckOutcome, SelfCheck};
pub use self::warning::Warning;

/// The version of the document that this program writes and reads.
pub const SCHEMA_VERSION: u32 = 1;

/// A whole result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct RunResult {
    /// [`SCHEMA_VERSION`] of the program that wrote it.
    pub schema_version: u32,
    /// Where the run took place.
    pub environment: Environment,
    /// What was asked for, as the front door understood it.
    pub config: serde_json::Value,
    /// Figures per workload, size and way to wait.
    pub cells: Vec<Cell>,
    /// Each way to wait against polling, and with `--aa` each against itself.
    pub comparisons: Vec<Comparison>,
    /// What follows from the cells together.
    #[serde(default)]
    pub findings: Findings,
    /// What each side's memory can do.
    #[serde(default)]
    pub ceilings: Vec<PeakBandwidths>,
    /// What the initiator itself costs.
    #[serde(default)]
    pub overhead: Option<Overhead>,
    /// What the run found out about itself.
    pub self_checks: Vec<SelfCheck>,
    /// What a reader should know, and the cure.
    pub warnings: Vec<Warning>,
}

impl RunResult {
    /// Whether no self-check failed. One that had nothing to look at does not count as failed.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.self_checks.iter().all(|check| check.pass != CheckOutcome::Fail)
    }
}
