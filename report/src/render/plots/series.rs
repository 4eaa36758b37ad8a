//! Selects the cells of each panel with their samples, and formats the text that plots share.

use std::collections::{BTreeMap, BTreeSet};

use super::draw::chart::{LegendEntry, LegendSymbol};
use super::draw::palette::{SeriesStyle, series_style};
use super::draw::scale::Scale;
use crate::evaluate::findings::is_sustained;
use crate::io::run::{Run, RunBlock};
use crate::result::metric::Metric;
use crate::result::{Cell, RunResult};
use bench_model::units::{acceleration, duration, size_name, thousands};
use bench_model::{Arrivals, WaitMode, Workload};

/// Input of all plots.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PlotData<'a> {
    pub(crate) result: &'a RunResult,
    pub(crate) run: &'a Run,
}

/// The samples of one wait mode under given conditions.
#[derive(Debug, Clone)]
pub(crate) struct ModeSamples<'a> {
    pub(crate) cell: &'a Cell,
    pub(crate) style: SeriesStyle,
    /// Samples of the cell's metric, block by block in the order of measurement. Never empty.
    pub(crate) blocks: Vec<BlockSamples>,
    /// All samples, ascending. Never empty.
    pub(crate) sorted: Vec<u64>,
}

/// Samples of one block, in order.
#[derive(Debug, Clone)]
pub(crate) struct BlockSamples {
    /// The block's index in the plan.
    pub(crate) index: u32,
    pub(crate) samples: Vec<u64>,
}

/// The wait modes to compare in one panel: same workload, size and conditions.
#[derive(Debug, Clone)]
pub(crate) struct PanelGroup<'a> {
    /// For instance `back to back` or `paced, 2.00 ms gap`.
    pub(crate) heading: String,
    /// The metric of the samples.
    pub(crate) metric: Metric,
    pub(crate) series: Vec<ModeSamples<'a>>,
}

impl PanelGroup<'_> {
    /// The heading, with the metric where it is the corrected latency.
    pub(crate) fn title(&self) -> String {
        if self.metric == Metric::CorrectedLatency {
            format!("{}, corrected latency", self.heading)
        } else {
            self.heading.clone()
        }
    }

    /// The axis title, with the metric. For panels too narrow for [`title`](Self::title).
    pub(crate) fn axis_title(&self) -> &'static str {
        if self.metric == Metric::CorrectedLatency { "corrected latency" } else { "latency" }
    }
}

impl<'a> PlotData<'a> {
    /// Cells of a workload without A/A repetitions, fully stamped blocks and cold frames.
    pub(crate) fn cells(&self, workload: Workload) -> impl Iterator<Item = &'a Cell> {
        let plain = move |cell: &&Cell| {
            cell.workload == workload
                && !cell.conditions.aa_repeat
                && !cell.conditions.full_stamps
                && !cell.conditions.cold
        };
        self.result.cells.iter().filter(plain)
    }

    /// Samples of a cell. `None` if no operation succeeded.
    pub(crate) fn series(&self, cell: &'a Cell) -> Option<ModeSamples<'a>> {
        let metric = cell.metric();
        let samples_of = |block: RunBlock<'a>| BlockSamples {
            index: block.plan().index,
            samples: block.ok_rows().filter_map(|row| metric.of_row(cell.workload, row)).collect(),
        };
        let blocks: Vec<BlockSamples> =
            self.run.blocks_of(cell.key()).map(samples_of).filter(|block| !block.samples.is_empty()).collect();
        let mut sorted: Vec<u64> = blocks.iter().flat_map(|block| block.samples.iter().copied()).collect();
        sorted.sort_unstable();
        (!sorted.is_empty()).then_some(ModeSamples { cell, style: style(cell), blocks, sorted })
    }

    /// Closed-loop messages, back to back and paced. A generated plan has one size and one gap; of others the first is
    /// used.
    pub(crate) fn round_trips(&self) -> Vec<PanelGroup<'a>> {
        let first = |workload| self.cells(workload).find(|cell| cell.n > 0);
        [Workload::Pingpong, Workload::Paced]
            .into_iter()
            .filter_map(first)
            .filter_map(|cell| self.group(cell))
            .collect()
    }

    /// Panels of the latency plots: [round trips](Self::round_trips), or in a run without them, open-loop, contention
    /// or frame latencies.
    pub(crate) fn latencies(&self) -> Vec<PanelGroup<'a>> {
        let round_trips = self.round_trips();
        if !round_trips.is_empty() {
            return round_trips;
        }
        let others = [self.open_loop_cells(), self.contention_cells(), self.frames()];
        let first = others.into_iter().find(|cells| !cells.is_empty()).unwrap_or_default();
        first.into_iter().filter_map(|cell| self.group(cell)).collect()
    }

    /// For each arrival process, a cell at the highest rate that every mode sustained, or at the lowest rate offered.
    fn open_loop_cells(&self) -> Vec<&'a Cell> {
        let cell_for = |arrivals: Arrivals| {
            let cells = || {
                let offered = self.cells(Workload::Openloop).filter(|cell| cell.n > 0);
                offered.filter(move |cell| cell.conditions.arrivals == Some(arrivals))
            };
            let rate = |cell: &&Cell| cell.conditions.rate_per_s;
            let by_all_modes = |cell: &&Cell| cells().filter(|other| rate(other) == rate(cell)).all(is_sustained);
            cells().filter(by_all_modes).max_by_key(rate).or_else(|| cells().min_by_key(rate))
        };
        [Arrivals::Fixed, Arrivals::Poisson].into_iter().filter_map(cell_for).collect()
    }

    /// Cells with the fewest and the most busy threads, paced if available.
    fn contention_cells(&self) -> Vec<&'a Cell> {
        let cells = || self.cells(Workload::Contention).filter(|cell| cell.n > 0 && !cell.conditions.shared_core);
        let gap = cells().map(|cell| cell.conditions.gap_ns).max();
        let same_gap = || cells().filter(|cell| Some(cell.conditions.gap_ns) == gap);
        let threads = |cell: &&Cell| cell.conditions.busy_threads;
        let mut chosen: Vec<&Cell> =
            [same_gap().min_by_key(threads), same_gap().max_by_key(threads)].into_iter().flatten().collect();
        chosen.dedup_by_key(|cell| cell.conditions);
        chosen
    }

    /// One cell per frame size.
    fn frames(&self) -> Vec<&'a Cell> {
        let mut sizes: Vec<&Cell> = self.cells(Workload::Frame).filter(|cell| cell.n > 0).collect();
        sizes.dedup_by_key(|cell| cell.size_bytes);
        sizes
    }

    /// All wait modes with the workload, size and conditions of `first`.
    fn group(&self, first: &Cell) -> Option<PanelGroup<'a>> {
        let same = self
            .cells(first.workload)
            .filter(|cell| (cell.size_bytes, cell.conditions) == (first.size_bytes, first.conditions));
        let series: Vec<ModeSamples<'a>> = same.filter_map(|cell| self.series(cell)).collect();
        (!series.is_empty()).then_some(PanelGroup { heading: heading(first), metric: first.metric(), series })
    }

    /// CPU, driver and accelerator, for captions.
    pub(crate) fn environment(&self) -> String {
        let environment = &self.result.environment;
        let short = |text: &Option<String>| {
            text.as_deref().map(str::trim).filter(|text| !text.is_empty()).map(|text| text.chars().take(60).collect())
        };
        let parts: [Option<String>; 3] =
            [short(&environment.cpu_model), short(&environment.driver), Some(acceleration(&environment.accel))];
        parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}

/// One legend entry per wait mode.
pub(crate) fn legend_of_groups(groups: &[PanelGroup<'_>]) -> Vec<LegendEntry> {
    legend_of_cells(groups.iter().flat_map(|group| &group.series).map(|series| series.cell))
}

/// One legend entry per wait mode of these cells, in the order of the palette.
pub(crate) fn legend_of_cells<'a>(cells: impl IntoIterator<Item = &'a Cell>) -> Vec<LegendEntry> {
    let mut modes: Vec<&Cell> = cells.into_iter().collect();
    let is_mixed = |cell: &Cell| cell.host_wait != cell.guest_wait;
    modes.sort_by_key(|cell| (is_mixed(cell), waits(cell)));
    modes.dedup_by_key(|cell| waits(cell));
    let first_mixed = modes.iter().position(|cell| is_mixed(cell));
    let entry = |(position, cell): (usize, &Cell)| {
        let note = if Some(position) == first_mixed { " (host/guest)" } else { "" };
        LegendEntry { symbol: LegendSymbol::Mode(style(cell)), label: format!("{}{note}", mode(cell)) }
    };
    modes.into_iter().enumerate().map(entry).collect()
}

/// The wait modes of host and guest.
pub(crate) fn waits(cell: &Cell) -> (WaitMode, WaitMode) {
    (cell.host_wait, cell.guest_wait)
}

/// Colour, marker and dash of the cell's wait mode.
pub(crate) fn style(cell: &Cell) -> SeriesStyle {
    series_style(cell.host_wait, cell.guest_wait)
}

/// Groups by a key, in ascending order of the keys. Groups keep the order of their items.
pub(crate) fn grouped<T, K: Ord>(items: impl IntoIterator<Item = T>, key: impl Fn(&T) -> K) -> Vec<Vec<T>> {
    let mut groups: BTreeMap<K, Vec<T>> = BTreeMap::new();
    for item in items {
        groups.entry(key(&item)).or_default().push(item);
    }
    groups.into_values().collect()
}

/// Each value once, ascending.
pub(crate) fn distinct<T: Ord>(values: impl IntoIterator<Item = T>) -> Vec<T> {
    values.into_iter().collect::<BTreeSet<T>>().into_iter().collect()
}

/// A logarithmic scale for the samples of these series.
pub(crate) fn time_scale<'a>(series: impl IntoIterator<Item = &'a ModeSamples<'a>>) -> Scale {
    let extremes = series.into_iter().flat_map(|series| [series.sorted.first(), series.sorted.last()]).flatten();
    Scale::log(extremes.map(|&ns| ns as f64), 1.0)
}

/// The descriptions of all subjects in one text.
pub(crate) fn described<T>(subjects: &[T], describe: impl Fn(&T) -> String) -> String {
    subjects.iter().map(describe).collect::<Vec<_>>().join(" ")
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

/// The name of the cell's wait mode, truncated for the legend.
pub(crate) fn mode(cell: &Cell) -> String {
    cell.mode.chars().take(24).collect()
}

/// Sample counts, with no-break spaces, for instance `n = 10,000 each` or `n: poll 299, irq 252`.
pub(crate) fn counts<'a>(counted: impl IntoIterator<Item = (&'a Cell, usize)>) -> String {
    let counts: Vec<(String, usize)> = counted.into_iter().map(|(cell, n)| (mode(cell), n)).collect();
    let thousands = |n: usize| thousands(n as u64);
    match &counts[..] {
        [] => "n\u{a0}=\u{a0}0".to_owned(),
        [(_, n)] => format!("n\u{a0}=\u{a0}{}", thousands(*n)),
        [(_, first), rest @ ..] if rest.iter().all(|(_, n)| n == first) => {
            format!("n\u{a0}=\u{a0}{} each", thousands(*first))
        }
        counts => {
            format!(
                "n: {}",
                counts.iter().map(|(mode, n)| format!("{mode} {}", thousands(*n))).collect::<Vec<_>>().join(", ")
            )
        }
    }
}

/// Range of the sample counts, for instance `n = 74 to 2,000 per point`.
pub(crate) fn count_range(counts: impl Iterator<Item = u64> + Clone) -> String {
    let (min, max) = (counts.clone().min().unwrap_or(0), counts.max().unwrap_or(0));
    if min == max {
        return format!("n\u{a0}=\u{a0}{} per point", thousands(min));
    }
    format!("n\u{a0}=\u{a0}{} to {} per point", thousands(min), thousands(max))
}

/// Interquartile mean by total, for each part. These parts add up to the total of a typical operation; medians of parts
/// do not. `None` without operations.
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
    fn middle_half_excludes_both_outer_quarters() {
        let operations: Vec<(u64, [f64; 1])> = [9, 1, 1_000, 5, 6, 7, 8, 2].map(|total| (total, [total as f64])).into();
        assert_eq!(middle_half(operations), Some([6.5]));
        assert_eq!(middle_half(vec![(7, [7.0])]), Some([7.0]));
        assert_eq!(middle_half::<1>(Vec::new()), None);
    }
}
