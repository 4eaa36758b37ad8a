//! What the plots take from a run: which cells belong into one panel, their samples, and the words for both.

use super::palette::{Look, look};
use crate::evaluate::findings::carries;
use crate::io::run::{Run, RunBlock};
use crate::result::metric::Metric;
use crate::result::{Cell, RunResult};
use bench_model::units::size_name;
use bench_model::units::{acceleration, duration, thousands};
use bench_model::{Arrivals, Workload};

/// A run to be drawn.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Data<'a> {
    pub(crate) result: &'a RunResult,
    pub(crate) run: &'a Run,
}

/// One way to wait under given conditions.
#[derive(Debug, Clone)]
pub(crate) struct Series<'a> {
    pub(crate) cell: &'a Cell,
    pub(crate) look: Look,
    /// The figure that the workload is about, block by block in the order in which they were measured. Never empty.
    pub(crate) blocks: Vec<Stretch>,
    /// The same, ascending. Never empty.
    pub(crate) sorted: Vec<u64>,
}

/// A block's samples in order.
#[derive(Debug, Clone)]
pub(crate) struct Stretch {
    /// The block's index in the plan.
    pub(crate) index: u32,
    pub(crate) samples: Vec<u64>,
}

/// Ways to wait that can be compared: all else is equal.
#[derive(Debug, Clone)]
pub(crate) struct Question<'a> {
    /// In words, for instance `back to back` or `paced, 2.00 ms gap`.
    pub(crate) heading: String,
    /// What its samples count.
    pub(crate) figure: Metric,
    pub(crate) series: Vec<Series<'a>>,
}

impl Question<'_> {
    /// The heading of a panel of latencies, with the metric where it is the corrected latency.
    pub(crate) fn title(&self) -> String {
        if self.figure == Metric::CorrectedLatency {
            format!("{}, corrected latency", self.heading)
        } else {
            self.heading.clone()
        }
    }

    /// The title of an axis of latencies that says the same, where the heading has no room for it.
    pub(crate) fn axis_title(&self) -> &'static str {
        if self.figure == Metric::CorrectedLatency { "corrected latency" } else { "latency" }
    }
}

impl<'a> Data<'a> {
    /// Cells of a workload that no arm repeats and for which no stamps were added.
    pub(crate) fn cells(&self, workload: Workload) -> impl Iterator<Item = &'a Cell> {
        let plain = move |cell: &&Cell| {
            cell.workload == workload
                && !cell.conditions.aa_repeat
                && !cell.conditions.full_stamps
                && !cell.conditions.cold
        };
        self.result.cells.iter().filter(plain)
    }

    /// The samples of a cell; `None` if no operation ended ok.
    pub(crate) fn series(&self, cell: &'a Cell) -> Option<Series<'a>> {
        let figure = cell.metric();
        let of_block = |block: RunBlock<'a>| Stretch {
            index: block.plan().index,
            samples: block.ok_rows().filter_map(|row| figure.of_row(cell.workload, row)).collect(),
        };
        let blocks: Vec<Stretch> =
            self.run.blocks_of(cell).map(of_block).filter(|block| !block.samples.is_empty()).collect();
        let mut sorted: Vec<u64> = blocks.iter().flat_map(|block| block.samples.iter().copied()).collect();
        sorted.sort_unstable();
        let look = look(cell.host_wait, cell.guest_wait);
        (!sorted.is_empty()).then_some(Series { cell, look, blocks, sorted })
    }

    /// Messages in a closed loop, back to back and paced. A run has one size and one gap; where a plan of one's own has
    /// more, the first one is taken.
    pub(crate) fn round_trips(&self) -> Vec<Question<'a>> {
        let first = |workload| self.cells(workload).find(|cell| cell.n > 0);
        [Workload::Pingpong, Workload::Paced]
            .into_iter()
            .filter_map(first)
            .filter_map(|cell| self.question(cell))
            .collect()
    }

    /// What the plots of latencies are about: [round trips](Self::round_trips), and in a run without those whatever else
    /// took a time.
    pub(crate) fn latencies(&self) -> Vec<Question<'a>> {
        let round_trips = self.round_trips();
        if !round_trips.is_empty() {
            return round_trips;
        }
        let others = [self.open_loops(), self.beside_threads(), self.frames()];
        let first = others.into_iter().find(|cells| !cells.is_empty()).unwrap_or_default();
        first.into_iter().filter_map(|cell| self.question(cell)).collect()
    }

    /// Per kind of arrivals a cell at the highest rate that every way carried, or at the lowest where none was.
    fn open_loops(&self) -> Vec<&'a Cell> {
        let of_kind = |arrivals: Arrivals| {
            let cells = || {
                let offered = self.cells(Workload::Openloop).filter(|cell| cell.n > 0);
                offered.filter(move |cell| cell.conditions.arrivals == Some(arrivals))
            };
            let rate = |cell: &&Cell| cell.conditions.rate_per_s;
            let by_all = |one: &&Cell| cells().filter(|cell| rate(cell) == rate(one)).all(carries);
            cells().filter(by_all).max_by_key(rate).or_else(|| cells().min_by_key(rate))
        };
        [Arrivals::Fixed, Arrivals::Poisson].into_iter().filter_map(of_kind).collect()
    }

    /// Messages beside the fewest and the most busy threads, paced where they were.
    fn beside_threads(&self) -> Vec<&'a Cell> {
        let cells = || self.cells(Workload::Contention).filter(|cell| cell.n > 0 && !cell.conditions.shared_core);
        let gap = cells().map(|cell| cell.conditions.gap_ns).max();
        let alike = || cells().filter(|cell| Some(cell.conditions.gap_ns) == gap);
        let threads = |cell: &&Cell| cell.conditions.busy_threads;
        let mut both: Vec<&Cell> =
            [alike().min_by_key(threads), alike().max_by_key(threads)].into_iter().flatten().collect();
        both.dedup_by_key(|cell| cell.conditions);
        both
    }

    /// One of each size.
    fn frames(&self) -> Vec<&'a Cell> {
        let mut sizes: Vec<&Cell> = self.cells(Workload::Frame).filter(|cell| cell.n > 0).collect();
        sizes.dedup_by_key(|cell| cell.size_bytes);
        sizes
    }

    /// The ways to wait of a cell's workload, size and conditions.
    fn question(&self, first: &Cell) -> Option<Question<'a>> {
        let alike = self
            .cells(first.workload)
            .filter(|cell| (cell.size_bytes, cell.conditions) == (first.size_bytes, first.conditions));
        let series: Vec<Series<'a>> = alike.filter_map(|cell| self.series(cell)).collect();
        (!series.is_empty()).then_some(Question { heading: heading(first), figure: first.metric(), series })
    }

    /// Where it was measured, for captions.
    pub(crate) fn place(&self) -> String {
        let environment = &self.result.environment;
        let short = |text: &Option<String>| {
            text.as_deref().map(str::trim).filter(|text| !text.is_empty()).map(|text| text.chars().take(60).collect())
        };
        let parts: [Option<String>; 3] =
            [short(&environment.cpu_model), short(&environment.driver), Some(acceleration(&environment.accel))];
        parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}

fn heading(cell: &Cell) -> String {
    match (cell.workload, cell.conditions.gap_ns) {
        (Workload::Pingpong, _) => "back to back".to_owned(),
        (Workload::Paced, Some(gap)) => format!("paced, {} gap", duration(gap as f64)),
        (Workload::Frame, _) => format!("{} frames", size_name(cell.size_bytes)),
        (Workload::Openloop, _) => format!("offered {}", cell.conditions),
        (Workload::Contention, _) => cell.conditions.to_string(),
        (workload, _) => workload.to_string(),
    }
}

/// The name of a cell's way to wait, cut to what a legend has room for.
pub(crate) fn mode(cell: &Cell) -> String {
    cell.mode.chars().take(24).collect()
}

/// How many samples each has, with spaces that no line is broken at, for instance `n = 10,000 each` or `n: poll 299, irq 252`.
pub(crate) fn counts<'a>(counted: impl IntoIterator<Item = (&'a Cell, usize)>) -> String {
    let all: Vec<(String, usize)> = counted.into_iter().map(|(cell, n)| (mode(cell), n)).collect();
    let told = |n: usize| thousands(n as u64);
    match &all[..] {
        [] => "n\u{a0}=\u{a0}0".to_owned(),
        [(_, n)] => format!("n\u{a0}=\u{a0}{}", told(*n)),
        [(_, first), rest @ ..] if rest.iter().all(|(_, n)| n == first) => {
            format!("n\u{a0}=\u{a0}{} each", told(*first))
        }
        all => {
            format!("n: {}", all.iter().map(|(mode, n)| format!("{mode} {}", told(*n))).collect::<Vec<_>>().join(", "))
        }
    }
}

/// The least and the largest of such counts, for instance `n = 74 to 2,000 per point`.
pub(crate) fn count_range(counts: impl Iterator<Item = u64> + Clone) -> String {
    let (least, most) = (counts.clone().min().unwrap_or(0), counts.max().unwrap_or(0));
    if least == most {
        return format!("n\u{a0}=\u{a0}{} per point", thousands(least));
    }
    format!("n\u{a0}=\u{a0}{} to {} per point", thousands(least), thousands(most))
}

/// The whole number below, for positions and counts.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates, and NaN is 0")]
pub(crate) fn whole(value: f64) -> u64 {
    value as u64
}

/// A position in a list.
pub(crate) fn position(value: f64) -> usize {
    usize::try_from(whole(value)).unwrap_or(usize::MAX)
}

/// The sample at a share of the ascending samples, by nearest rank, however few they are: for placing, not for telling.
pub(crate) fn at_share(sorted: &[u64], share: f64) -> u64 {
    let rank = position((sorted.len() as f64 * share).ceil()).clamp(1, sorted.len().max(1));
    sorted.get(rank - 1).copied().unwrap_or(0)
}

/// The mean over the middle half of the operations by their total, part by part: the parts of an ordinary operation,
/// which add up to its total, as medians of parts do not. `None` where there are none.
pub(crate) fn middle_half<const N: usize>(mut operations: Vec<(u64, [f64; N])>) -> Option<[f64; N]> {
    operations.sort_by_key(|(total, _)| *total);
    let quarter = operations.len() / 4;
    let middle = operations.get(quarter..operations.len() - quarter)?;
    let n = middle.len() as f64;
    let mean = |part: usize| middle.iter().map(|(_, parts)| parts[part]).sum::<f64>() / n;
    (n > 0.0).then(|| std::array::from_fn(mean))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_half_leaves_out_both_quarters() {
        let operations: Vec<(u64, [f64; 1])> = [9, 1, 1_000, 5, 6, 7, 8, 2].map(|total| (total, [total as f64])).into();
        assert_eq!(middle_half(operations), Some([6.5]));
        assert_eq!(middle_half(vec![(7, [7.0])]), Some([7.0]));
        assert_eq!(middle_half::<1>(Vec::new()), None);
    }

    #[test]
    fn a_share_of_few_samples_is_one_of_them() {
        assert_eq!([0.0, 0.5, 0.51, 0.99, 1.0].map(|share| at_share(&[10, 20], share)), [10, 10, 20, 20, 20]);
        assert_eq!(at_share(&[], 0.5), 0);
    }
}
