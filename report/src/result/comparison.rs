//! A wait mode compared with polling: ratio, interval, noise floor and outcome.

use bench_model::{Conditions, Workload};
use serde::{Deserialize, Serialize};

use super::cell::Cell;
use super::metric::Metric;
use crate::stats::{Change, Interval};

/// One way to wait against polling, same workload and size. A ratio above 1: `mode` takes more than `baseline`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Comparison {
    /// The workload of both cells.
    pub workload: Workload,
    /// The size of both cells.
    pub size_bytes: u64,
    /// The conditions of the compared cell; those of the baseline are the same, but for `again`.
    #[serde(default)]
    pub conditions: Conditions,
    /// What is compared.
    pub mode: String,
    /// To what.
    pub baseline: String,
    /// Which of both cells' figures is compared.
    #[serde(default)]
    pub figure: Metric,
    /// Ratio of that figure's medians; of streams, of the time per message.
    pub p50_ratio: Option<f64>,
    /// Its 95 % interval by a block bootstrap of the same.
    #[serde(default)]
    pub p50_ratio_interval: Option<Interval<f64>>,
    /// The larger of both cells' noise floors, of that figure.
    #[serde(default)]
    pub noise_floor: Option<f64>,
    /// What the interval and the noise allow to say of `mode`.
    #[serde(default)]
    pub word: Change,
    /// The means of that figure instead of its medians; of latencies only.
    #[serde(default)]
    pub mean: Option<MeanRatio>,
    /// Difference of that figure's medians, in nanoseconds; streams have none.
    pub p50_difference_ns: Option<i64>,
    /// Ratio of the CPU time per operation, all threads.
    pub cpu_per_op_ratio: Option<f64>,
    /// Ratio of the cores kept busy.
    pub cores_ratio: Option<f64>,
}

/// How the means of latencies compare. Where latencies lie in two heaps, as those of a poller that shares its core, a median
/// says no more than in which of them the larger half lies.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct MeanRatio {
    /// Ratio of the means.
    pub ratio: f64,
    /// Its 95 % interval by a bootstrap of whole blocks; two blocks at least.
    pub interval: Option<Interval<f64>>,
    /// By what factor the means of equal things differ; four blocks at least.
    pub noise_floor: Option<f64>,
    /// What the interval and the noise allow to say of `mode`.
    pub word: Change,
}

/// From this noise floor on, the medians of equal blocks lie in different modes of a bimodal distribution.
const BIMODAL_FROM: f64 = 10.0;

/// The metric that a comparison's verdict is based on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Basis {
    /// Whether it is the mean, which replaces the median where latencies are bimodal.
    pub is_mean: bool,
    /// The mode's value over the baseline's.
    pub ratio: f64,
    /// Its 95 % interval.
    pub interval: Option<Interval<f64>>,
    /// The noise floor of the same metric.
    pub noise_floor: Option<f64>,
    /// The verdict.
    pub word: Change,
    /// Why it is inconclusive.
    pub because: Option<&'static str>,
}

impl MeanRatio {
    /// Why the means are inconclusive; `None` where there is a verdict.
    #[must_use]
    pub fn inconclusive_because(&self) -> Option<&'static str> {
        (self.word == Change::Inconclusive).then_some(match (self.interval, self.noise_floor) {
            (None, _) => "too few blocks for an interval of the mean",
            (Some(_), None) => "a mean needs 4 blocks",
            (Some(_), Some(_)) => "no finite noise floor",
        })
    }
}

impl Comparison {
    /// Whether the latencies are bimodal: the medians of equal blocks differ so much that their ratio is meaningless.
    #[must_use]
    pub fn is_bimodal(&self) -> bool {
        let has_median = matches!(self.figure, Metric::Latency | Metric::CorrectedLatency);
        has_median && self.noise_floor.is_some_and(|floor| floor >= BIMODAL_FROM)
    }

    /// What the verdict is based on: the figure's median, and the mean where latencies are bimodal. `None`: one of the two
    /// cells lacks the figure.
    #[must_use]
    pub fn basis(&self) -> Option<Basis> {
        if let Some(mean) = self.mean.as_ref().filter(|_| self.is_bimodal()) {
            let MeanRatio { ratio, interval, noise_floor, word } = *mean;
            return Some(Basis {
                is_mean: true,
                ratio,
                interval,
                noise_floor,
                word,
                because: mean.inconclusive_because(),
            });
        }
        Some(Basis {
            is_mean: false,
            ratio: self.p50_ratio?,
            interval: self.p50_ratio_interval,
            noise_floor: self.noise_floor,
            word: self.word,
            because: self.inconclusive_because(),
        })
    }

    /// The cell that is compared, and the one that it is compared with.
    #[must_use]
    pub fn cells<'a>(&self, all: &'a [Cell]) -> Option<(&'a Cell, &'a Cell)> {
        let find = |mode: &str, conditions: Conditions| {
            let key = (self.workload, self.size_bytes, conditions);
            all.iter().find(|cell| (cell.workload, cell.size_bytes, cell.conditions) == key && cell.mode == mode)
        };
        // A second arm is compared with the first one, and a first arm with another first one.
        let first = Conditions { aa_repeat: false, ..self.conditions };
        Some((find(&self.mode, self.conditions)?, find(&self.baseline, first)?))
    }

    /// Why it is inconclusive; `None` where there is a verdict.
    #[must_use]
    pub fn inconclusive_because(&self) -> Option<&'static str> {
        let (has_values, has_interval) = (self.p50_ratio.is_some(), self.p50_ratio_interval.is_some());
        (self.word == Change::Inconclusive)
            .then(|| inconclusive_reason(self.figure, self.workload, has_values, has_interval))
    }
}

/// Why nothing is said of two cells, and the cure where there is one.
pub(crate) fn inconclusive_reason(
    figure: Metric,
    workload: Workload,
    has_values: bool,
    has_interval: bool,
) -> &'static str {
    match (figure, has_values, has_interval) {
        (_, true, _) if workload == Workload::Storm => "a storm has one latency per block, too few for a verdict",
        (_, false, _) => "one of the two has no such figure",
        (Metric::BusyCores, ..) => "a cost has no noise floor",
        (Metric::TimePerMessage, true, false) => {
            "too few blocks: an interval needs two blocks of a stream; measure more blocks"
        }
        (Metric::TimePerMessage, true, true) => {
            "too few blocks: the noise floor needs four blocks of a stream; measure more blocks"
        }
        (_, true, _) => "too few samples (use --full)",
    }
}
