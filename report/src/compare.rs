//! Compares each wait mode with polling on both sides, cell by cell; with `--aa` also the second arm with the first.

use serde::{Deserialize, Serialize};

use crate::beside::{self, Drawn};
use crate::cell_name::CellKey;
use crate::cells::Group;
use crate::figure::Figure;
use crate::result::Cell;
use crate::stats::{Interval, Word};
use bench_model::{Conditions, WaitMode, Workload};

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
    pub figure: Figure,
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
    pub word: Word,
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
    pub word: Word,
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
    pub word: Word,
    /// Why it is inconclusive.
    pub because: Option<&'static str>,
}

impl MeanRatio {
    /// Why the means are inconclusive; `None` where there is a verdict.
    #[must_use]
    pub fn inconclusive_because(&self) -> Option<&'static str> {
        (self.word == Word::Unknown).then_some(match (self.interval, self.noise_floor) {
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
        let has_median = matches!(self.figure, Figure::Latency | Figure::FromDue);
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
        (self.word == Word::Unknown).then(|| beside::why_unknown(self.figure, self.workload, has_values, has_interval))
    }
}

/// Compares every cell with the polling cell of its workload, size and conditions, and a second arm with the first. A cell
/// without a baseline is not compared. `groups` are those that the cells were made of.
#[must_use]
pub fn comparisons(cells: &[Cell], groups: &[Group<'_>]) -> Vec<Comparison> {
    let all: Vec<(&Cell, &Group<'_>)> = cells.iter().zip(groups).collect();
    all.iter()
        .filter_map(|&this| {
            let base = *all.iter().find(|base| is_baseline(base.0, this.0))?;
            Some(comparison(this, base))
        })
        .collect()
}

fn is_baseline(base: &Cell, cell: &Cell) -> bool {
    let key = cell.key();
    let wanted = if key.conditions.aa_repeat {
        CellKey { conditions: Conditions { aa_repeat: false, ..key.conditions }, ..key }
    } else {
        CellKey { host_wait: WaitMode::Poll, guest_wait: WaitMode::Poll, ..key }
    };
    wanted != key && base.key() == wanted
}

fn comparison(this: (&Cell, &Group<'_>), base: (&Cell, &Group<'_>)) -> Comparison {
    let (cell, baseline) = (this.0, base.0);
    let figure = Figure::between(cell, baseline);
    // Idling has a cost alone, which is told as `cores_ratio`.
    let is_judged = figure != Figure::BusyCores;
    let Drawn { ratio: drawn, noise_floor } =
        if is_judged { beside::drawn(figure, this, base) } else { Drawn::default() };
    let values = if is_judged { beside::value(figure, cell).zip(beside::value(figure, baseline)) } else { None };
    let medians = [cell, baseline].map(|cell| cell.latencies_by(figure)?.ns.p50);
    let medians = medians[0].zip(medians[1]);
    Comparison {
        workload: cell.workload,
        size_bytes: cell.size_bytes,
        conditions: cell.conditions,
        mode: cell.mode.clone(),
        baseline: baseline.mode.clone(),
        figure,
        p50_ratio: values.and_then(|(this, base)| ratio(this, base)),
        p50_ratio_interval: drawn.as_ref().map(|ratio| Interval { low: ratio.low, high: ratio.high }),
        noise_floor,
        word: Word::of(drawn.as_ref(), noise_floor),
        mean: matches!(figure, Figure::Latency | Figure::FromDue)
            .then(|| beside::means(figure, this.1, base.1))
            .flatten(),
        p50_difference_ns: medians.and_then(|(this, base)| i64::try_from(i128::from(this) - i128::from(base)).ok()),
        cpu_per_op_ratio: cell
            .cpu
            .total_us_per_op()
            .zip(baseline.cpu.total_us_per_op())
            .and_then(|(this, base)| ratio(this, base)),
        cores_ratio: cell.cpu.cores.zip(baseline.cpu.cores).and_then(|(this, base)| ratio(this, base)),
    }
}

/// JSON has no infinity: nothing to divide by is no ratio.
fn ratio(this: f64, base: f64) -> Option<f64> {
    Some(this / base).filter(|ratio| ratio.is_finite())
}
