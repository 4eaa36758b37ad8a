//! Pass or fail by limits: fails on a significant slowdown, and if nothing could be compared. Noise alone does not
//! fail.
//!
//! A cell fails if the *whole* interval of the ratio lies above the limit and above the noise floor. A ratio above the
//! limit whose interval reaches below it does not fail, because such a ratio is not reproducible. Inconclusive metrics
//! are listed with the reason. The gate also fails if all metrics are inconclusive, or if a run failed its own checks,
//! with that reason.
//!
//! Each cell of either run is counted once per limit that applies to it: as compared or as inconclusive.

use serde::Serialize;

use super::cells::CellDelta;
use super::p99::P99Ratio;
use super::{RunDelta, RunInfo};
use crate::result::cell_key::CellKey;
use crate::result::metric::Metric;
use bench_model::units::plural;
use statistics::{Change, Interval};

pub(crate) const P50: &str = "p50";
pub(crate) const P99: &str = "p99";

const NO_TAIL: &str = "fewer than 1,000 samples in one of the runs; --full measures more";

/// The noise floor of p99 needs a 99th percentile of each half of a run's blocks.
const TAIL_NOISE_UNKNOWN: &str =
    "too few samples for a noise floor: half of the blocks hold fewer than 1,000 (use --full)";

/// Allowed slowdown against the baseline, such as 0.1 for 10 %. `None`: no limit.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Limits {
    /// Of each cell's [`Metric`]: median latency, for streams the time per message.
    pub p50: Option<f64>,
    /// The 99th percentile.
    pub p99: Option<f64>,
}

/// A metric that is slower than its limit allows.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Regression {
    /// The run's place among the runs.
    pub run: usize,
    /// The cell.
    pub cell: CellKey,
    /// `p50` or `p99`.
    pub figure: &'static str,
    /// This run's value over the baseline's.
    pub ratio: f64,
    /// Its interval, all of it above the limit.
    pub interval: Interval<f64>,
}

/// A limited metric whose comparison is inconclusive.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NotJudged {
    /// The run's place among the runs.
    pub run: usize,
    /// The cell.
    pub cell: CellKey,
    /// `p50` or `p99`.
    pub figure: &'static str,
    /// The reason, with a hint if there is one.
    pub because: &'static str,
}

/// The outcome of the limits.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Gate {
    /// The limits.
    pub limits: Limits,
    /// Whether all runs pass.
    pub passed: bool,
    /// Why not; empty if they pass.
    pub reasons: Vec<String>,
    /// Metrics that are significantly slower.
    pub regressions: Vec<Regression>,
    /// Metrics that were compared.
    pub judged: usize,
    /// Compared metrics whose noise floor exceeds the limit: a slowdown by just the limit would be missed.
    pub too_noisy: usize,
    /// Inconclusive metrics.
    pub not_judged: Vec<NotJudged>,
}

impl Gate {
    pub(super) fn evaluate(limits: &Limits, heads: &[RunInfo], comparisons: &[RunDelta]) -> Self {
        let mut gate = Self { limits: *limits, ..Self::default() };
        for head in heads.iter().filter(|head| !head.failed_checks.is_empty()) {
            let failed = plural(head.failed_checks.len() as u64, "self-check");
            gate.reasons.push(format!("{} is not trustworthy: {failed} failed", head.folder.display()));
        }
        for against in comparisons {
            gate.judge_run(against, &heads[against.run]);
        }
        let slower = gate.regressions.iter().map(|regression| {
            let Regression { cell, figure, ratio, interval, .. } = regression;
            let Interval { low, high } = interval;
            format!("{}: {figure} is {ratio:.2} times the baseline's ({low:.2} to {high:.2})", cell.short())
        });
        gate.reasons.extend(slower);
        gate.passed = gate.reasons.is_empty();
        gate
    }

    fn judge_run(&mut self, against: &RunDelta, head: &RunInfo) {
        let before = self.judged;
        for cell in &against.cells {
            self.judge_cell(against.run, cell);
        }
        let alone = [
            (&against.only_in_baseline, "only the baseline has it"),
            (&against.only_in_run, "only this run has it; nothing to compare it with"),
        ];
        for (cells, because) in alone {
            for cell in cells {
                let figure = Metric::for_workload(cell.workload, &cell.conditions);
                for (name, _) in self.limits.on(figure) {
                    self.not_judged.push(NotJudged { run: against.run, cell: *cell, figure: name, because });
                }
            }
        }
        let folder = head.folder.display();
        if against.cells.is_empty() {
            self.reasons.push(format!("{folder} has no cell in common with the baseline; nothing was compared"));
        } else if self.judged == before {
            self.reasons.push(format!("no cell of {folder} could be compared, for the reasons below"));
        }
    }

    fn judge_cell(&mut self, run: usize, cell: &CellDelta) {
        for (figure, limit) in self.limits.on(cell.figure) {
            let (unknown_because, word, ratio, floor) = match (figure, &cell.p99) {
                (P50, _) => (cell.unknown_because, cell.word, cell.ratio.zip(cell.interval), cell.noise_floor),
                (_, None) => (Some(NO_TAIL), Change::Inconclusive, None, None),
                (_, Some(P99Ratio { ratio, interval, word, noise_floor })) => {
                    let because = (*word == Change::Inconclusive).then_some(TAIL_NOISE_UNKNOWN);
                    (because, *word, Some((*ratio, *interval)), *noise_floor)
                }
            };
            if let Some(because) = unknown_because {
                self.not_judged.push(NotJudged { run, cell: cell.name, figure, because });
                continue;
            }
            self.judged += 1;
            // Identical samples have the ratio 1: no regression, whatever the noise floor.
            let Some((ratio, interval)) = ratio.filter(|_| !cell.identical) else { continue };
            if word == Change::Slower && interval.low.min(ratio) > 1.0 + limit {
                self.regressions.push(Regression { run, cell: cell.name, figure, ratio, interval });
            } else if floor.is_some_and(|floor| floor > 1.0 + limit) || ratio / interval.low > 1.0 + limit {
                self.too_noisy += 1;
            }
        }
    }
}

impl Limits {
    /// The limits that apply to a metric, by name. There is no limit for idle cells, and no p99 limit for streams.
    fn on(self, figure: Metric) -> impl Iterator<Item = (&'static str, f64)> {
        let p50 = self.p50.filter(|_| figure != Metric::BusyCores);
        let p99 = self.p99.filter(|_| matches!(figure, Metric::Latency | Metric::CorrectedLatency));
        [(P50, p50), (P99, p99)].into_iter().filter_map(|(name, limit)| Some((name, limit?)))
    }
}
