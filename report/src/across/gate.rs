//! Whether a run may pass: a gate that is shut by a slowdown which the samples prove, and by nothing to judge, but not by
//! noise.
//!
//! A cell shuts it where the *whole* interval of the ratio lies above the limit and above what equal things differ by. A
//! ratio above the limit with an interval that reaches below it shuts nothing: such a ratio comes and goes from run to
//! run. Cells whose noise is not known (one block, too few samples) are counted as not judged; where no cell can be
//! judged, or a run failed its own checks, passing would mean nothing, and the gate is shut with that as the reason.

use serde::Serialize;

use super::cells::{CellAcross, Figure, TailAcross};
use super::{Against, RunHead};
use crate::cell_name::{CellName, short};
use crate::stats::{Interval, Word};
use crate::units::counted;

/// By which share a figure may be slower than the baseline's, such as 0.1 for 10 %. `None`: it is not looked at.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Limits {
    /// Median latency; of streams the time per message.
    pub p50: Option<f64>,
    /// The 99th percentile.
    pub p99: Option<f64>,
}

/// A figure that got slower by more than its limit.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Regression {
    /// The run's place among the runs.
    pub run: usize,
    /// The cell.
    pub cell: CellName,
    /// `p50` or `p99`.
    pub figure: &'static str,
    /// This run's over the baseline's.
    pub ratio: f64,
    /// All of it lies above the limit.
    pub interval: Interval<f64>,
}

/// What the limits come to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Gate {
    /// The limits.
    pub limits: Limits,
    /// Whether all runs may pass.
    pub passed: bool,
    /// Why not, in words; empty if they may.
    pub reasons: Vec<String>,
    /// Figures that are proved to be slower.
    pub regressions: Vec<Regression>,
    /// Figures that were judged.
    pub judged: usize,
    /// Of these, figures in which noise would hide a slowdown of just the limit.
    pub too_noisy: usize,
    /// Figures that could not be: too few samples or blocks, or only one run has them.
    pub not_judged: usize,
}

impl Gate {
    pub(super) fn of(limits: &Limits, heads: &[RunHead], comparisons: &[Against]) -> Self {
        let mut gate = Self {
            limits: *limits,
            passed: false,
            reasons: Vec::new(),
            regressions: Vec::new(),
            judged: 0,
            too_noisy: 0,
            not_judged: 0,
        };
        for head in heads.iter().filter(|head| !head.failed_checks.is_empty()) {
            let failed = counted(head.failed_checks.len() as u64, "self-check");
            gate.reasons.push(format!("{} is not to be trusted: {failed} failed", head.folder.display()));
        }
        for against in comparisons {
            let before = gate.judged;
            for cell in &against.cells {
                gate.judge(against.run, cell);
            }
            gate.not_judged += against.only_in_baseline.len();
            let folder = heads[against.run].folder.display();
            if against.cells.is_empty() {
                gate.reasons.push(format!("{folder} has no cell in common with the baseline; nothing was compared"));
            } else if gate.judged == before {
                gate.reasons.push(format!(
                    "no cell of {folder} could be judged: too few samples or blocks; measure more operations (--full)"
                ));
            }
        }
        let slower = gate.regressions.iter().map(|one| {
            let Regression { cell, figure, ratio, interval, .. } = one;
            let Interval { low, high } = interval;
            format!("{}: {figure} is {ratio:.2} times the baseline's ({low:.2} to {high:.2})", short(cell))
        });
        gate.reasons.extend(slower);
        gate.passed = gate.reasons.is_empty();
        gate
    }

    fn judge(&mut self, run: usize, cell: &CellAcross) {
        if cell.figure == Figure::BusyCores {
            return;
        }
        if let Some(limit) = self.limits.p50 {
            let ratio = cell.ratio.zip(cell.interval);
            let known = Known { word: cell.word, ratio, floor: cell.noise_floor };
            self.judge_one(run, cell, "p50", limit, &known);
        }
        if let Some(limit) = self.limits.p99 {
            let known = match &cell.p99 {
                Some(TailAcross { ratio, interval, word, noise_floor }) => {
                    Known { word: *word, ratio: Some((*ratio, *interval)), floor: *noise_floor }
                }
                None => Known { word: Word::Unknown, ratio: None, floor: None },
            };
            self.judge_one(run, cell, "p99", limit, &known);
        }
    }

    fn judge_one(&mut self, run: usize, cell: &CellAcross, figure: &'static str, limit: f64, known: &Known) {
        if known.word == Word::Unknown {
            self.not_judged += 1;
            return;
        }
        self.judged += 1;
        // The very same samples hide nothing.
        let Some((ratio, interval)) = known.ratio.filter(|_| !cell.identical) else { return };
        if known.word == Word::Slower && interval.low > 1.0 + limit {
            self.regressions.push(Regression { run, cell: cell.name.clone(), figure, ratio, interval });
        } else if known.floor.is_some_and(|floor| floor > 1.0 + limit) || ratio / interval.low > 1.0 + limit {
            self.too_noisy += 1;
        }
    }
}

/// What there is to judge a figure by.
struct Known {
    word: Word,
    ratio: Option<(f64, Interval<f64>)>,
    floor: Option<f64>,
}
