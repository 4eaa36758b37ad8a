//! A wait mode compared with polling: ratio, interval, noise floor and outcome.

use bench_model::{Conditions, Workload};
use serde::{Deserialize, Serialize};

use super::cell::Cell;
use super::metric::Metric;
use statistics::{Change, Interval};

/// A wait mode compared with polling, same workload and size. A ratio above 1: `mode` takes more than `baseline`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Comparison {
    /// The workload of both cells.
    pub workload: Workload,
    /// The size of both cells.
    pub size_bytes: u64,
    /// The conditions of the compared cell. Those of the baseline are the same, except `again`.
    #[serde(default)]
    pub conditions: Conditions,
    /// The compared mode.
    pub mode: String,
    /// The mode that it is compared with.
    pub baseline: String,
    /// The compared metric.
    #[serde(default)]
    pub figure: Metric,
    /// Ratio of the medians; for streams, of the time per message.
    pub p50_ratio: Option<f64>,
    /// Its 95 % interval by a block bootstrap of the same estimator.
    #[serde(default)]
    pub p50_ratio_interval: Option<Interval<f64>>,
    /// The larger noise floor of both cells for this metric.
    #[serde(default)]
    pub noise_floor: Option<f64>,
    /// The outcome for `mode`.
    #[serde(default)]
    pub word: Change,
    /// The means instead of the medians; only for latencies.
    #[serde(default)]
    pub mean: Option<MeanRatio>,
    /// Difference of the medians, in nanoseconds; streams have none.
    pub p50_difference_ns: Option<i64>,
    /// Ratio of the CPU time per operation, all threads.
    pub cpu_per_op_ratio: Option<f64>,
    /// Ratio of the cores in use.
    pub cores_ratio: Option<f64>,
}

/// Ratio of mean latencies. For bimodal latencies, such as polling on a shared core, a median shows only which mode
/// holds more than half of them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct MeanRatio {
    /// Ratio of the means.
    pub ratio: f64,
    /// Its 95 % interval by a bootstrap of whole blocks; at least two blocks.
    pub interval: Option<Interval<f64>>,
    /// Noise floor of the mean; at least four blocks.
    pub noise_floor: Option<f64>,
    /// The outcome for `mode`.
    pub word: Change,
}

/// From this noise floor on, the medians of equal blocks lie in different modes of a bimodal distribution.
const BIMODAL_FROM: f64 = 10.0;

/// The metric that decides a comparison.
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
    /// The outcome.
    pub word: Change,
    /// Why it is inconclusive.
    pub because: Option<&'static str>,
}

impl MeanRatio {
    /// Why the means are inconclusive; `None` otherwise.
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

    /// The deciding metric: the median, or the mean for bimodal latencies. `None`: one of the cells lacks the metric.
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

    /// The compared cell and its baseline.
    #[must_use]
    pub fn cells<'a>(&self, all: &'a [Cell]) -> Option<(&'a Cell, &'a Cell)> {
        let find = |mode: &str, conditions: Conditions| {
            let key = (self.workload, self.size_bytes, conditions);
            all.iter().find(|cell| (cell.workload, cell.size_bytes, cell.conditions) == key && cell.mode == mode)
        };
        // An A/A repeat is compared with the first series.
        let first = Conditions { aa_repeat: false, ..self.conditions };
        Some((find(&self.mode, self.conditions)?, find(&self.baseline, first)?))
    }

    /// Why it is inconclusive; `None` otherwise.
    #[must_use]
    pub fn inconclusive_because(&self) -> Option<&'static str> {
        let (has_values, has_interval) = (self.p50_ratio.is_some(), self.p50_ratio_interval.is_some());
        (self.word == Change::Inconclusive)
            .then(|| inconclusive_reason(self.figure, self.workload, has_values, has_interval))
    }
}

/// Why a comparison is inconclusive, with a hint if there is one.
pub(crate) fn inconclusive_reason(
    figure: Metric,
    workload: Workload,
    has_values: bool,
    has_interval: bool,
) -> &'static str {
    match (figure, has_values, has_interval) {
        (_, true, _) if workload == Workload::Storm => "a storm has one latency per block, too few for a verdict",
        (_, false, _) => "one side lacks this metric",
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
