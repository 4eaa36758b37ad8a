//! The result of a run (`result.json`), which scripts and later versions read. Names are stable; an incompatible change
//! raises [`SCHEMA_VERSION`].

use serde::{Deserialize, Serialize};

use bench_model::Workload;
use bench_model::raw::{Overhead, PeakBandwidths};

pub mod cell;
pub mod cell_key;
pub mod comparison;
pub mod cpu;
pub mod environment;
pub mod findings;
pub mod metric;
pub mod self_check;
pub mod warning;

pub use self::cell::{Cell, CellCounters, Latencies, Legs, PhaseRates};
pub use self::cell_key::CellKey;
pub use self::comparison::{Basis, Comparison, MeanRatio};
pub use self::cpu::{Cpu, PerfPerOp, SwitchesPerOp, ThreadCounts};
pub use self::environment::Environment;
pub use self::findings::{BreakEven, Capacity, ContentionResult, Findings};
pub use self::metric::Metric;
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
    /// The configuration, as resolved by xtask.
    pub config: serde_json::Value,
    /// Metrics per workload, size, wait mode and conditions.
    pub cells: Vec<Cell>,
    /// Each wait mode compared with polling, and with `--aa` each with itself.
    pub comparisons: Vec<Comparison>,
    /// Findings over several cells.
    #[serde(default)]
    pub findings: Findings,
    /// Peak bandwidth of each side.
    #[serde(default)]
    pub ceilings: Vec<PeakBandwidths>,
    /// Instrument overhead.
    #[serde(default)]
    pub overhead: Option<Overhead>,
    /// Self-checks.
    pub self_checks: Vec<SelfCheck>,
    /// Limits of the results, with hints.
    pub warnings: Vec<Warning>,
}

impl RunResult {
    /// The cells of a workload.
    pub(crate) fn cells_of(&self, workload: Workload) -> impl Iterator<Item = &Cell> {
        self.cells.iter().filter(move |cell| cell.workload == workload)
    }

    /// Whether no self-check failed. Inapplicable ones do not count.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.self_checks.iter().all(|check| check.pass != CheckOutcome::Fail)
    }
}
