//! `contention`: latency with busy threads on the same cores, back to back and paced. Back to back, a running poller
//! looks unaffected; with a gap, it waits for its core. Its latencies are then bimodal, so the mean is drawn as well.

use super::Texts;
use super::draw::{ABOVE, Axes, Axis, AxisUnit, Chart, DataPoint, GRID, LineStyle, Scale, Stroke, line};
use super::series::{PlotData, count_range, distinct, grouped, legend_of_cells, mode, style, waits};
use crate::result::Cell;
use bench_model::Workload;
use bench_model::units::{duration, thousands};

const HEIGHT: f64 = 290.0;

/// A statistic of a cell with its interval; corrected latency where messages have a scheduled send time.
type Statistic = fn(&Cell) -> Option<(f64, Option<(f64, f64)>)>;

fn median(cell: &Cell) -> Option<(f64, Option<(f64, f64)>)> {
    let latencies = cell.latencies()?;
    let interval = latencies.p50_interval().map(|interval| (interval.low as f64, interval.high as f64));
    Some((latencies.ns.p50? as f64, interval))
}

fn mean(cell: &Cell) -> Option<(f64, Option<(f64, f64)>)> {
    Some((cell.latencies()?.ns.mean, None))
}

/// Whether both sides share a core, and the number of busy threads.
fn load_of(cell: &Cell) -> (bool, u32) {
    (cell.conditions.shared_core, cell.conditions.busy_threads.unwrap_or(0))
}

pub(super) fn draw(data: &PlotData<'_>, chart: &mut Chart) -> Option<Texts> {
    let cells: Vec<&Cell> = data.cells(Workload::Contention).filter(|cell| median(cell).is_some()).collect();
    if cells.is_empty() {
        return None;
    }
    let mut gaps = distinct(cells.iter().map(|cell| cell.conditions.gap_ns));
    gaps.truncate(2);
    let loads = distinct(cells.iter().map(|cell| load_of(cell)));
    let name = |&(shared_core, threads): &(bool, u32)| match (shared_core, threads) {
        (true, 0) => "one core".to_owned(),
        (true, threads) => format!("one core + {}", thousands(threads.into())),
        (false, threads) => thousands(threads.into()),
    };
    let x = Axis::categories(loads.iter().map(name), 0.4, "busy threads");
    let medians = gaps.iter().map(|gap| (*gap, "median", median as Statistic));
    let means = gaps.iter().filter(|gap| gap.is_some()).map(|gap| (*gap, "mean", mean as Statistic));
    let panels: Vec<(Option<u64>, &str, Statistic)> = medians.chain(means).collect();
    let cells_with = |gap: Option<u64>| cells.iter().copied().filter(move |cell| cell.conditions.gap_ns == gap);
    let values = panels.iter().flat_map(|&(gap, _, statistic)| cells_with(gap).filter_map(statistic));
    let extremes = values.flat_map(|(value, interval)| {
        let (low, high) = interval.unwrap_or((value, value));
        [value, low, high]
    });
    let scale = Scale::log(extremes, 1.0);
    chart.legend(legend_of_cells(cells.iter().copied()));
    for (&(gap, name, statistic), area) in panels.iter().zip(chart.panels(ABOVE, HEIGHT, panels.len())) {
        let heading =
            gap.map_or_else(|| "back to back".to_owned(), |gap| format!("{} gap, corrected", duration(gap as f64)));
        let axes = chart.axes(area, heading, x.clone(), Axis::new(scale, AxisUnit::Time, name));
        let shared = loads.iter().filter(|(shared_core, _)| !shared_core).count();
        if shared > 0 && shared < loads.len() {
            let between = axes.x_at(shared as f64 - 0.5);
            let stroke = Stroke::new(GRID, 1.5).dash("4 4");
            chart.svg.line((between, area.1), (between, axes.bottom()), stroke);
        }
        lines(chart, &axes, &loads, cells_with(gap), statistic);
    }
    let note =
        if loads.iter().any(|(shared_core, _)| *shared_core) { " One core: both sides share a core." } else { "" };
    let caption = format!("Bars: 95 % interval of the median.{note} {}.", count_range(cells.iter().map(|cell| cell.n)));
    let alt = cells.iter().filter_map(|cell| describe(cell)).collect::<Vec<_>>().join(" ");
    Some(Texts { caption, alt })
}

/// The position of a cell is that of its load.
fn lines<'a>(
    chart: &mut Chart,
    axes: &Axes,
    loads: &[(bool, u32)],
    cells: impl Iterator<Item = &'a Cell>,
    statistic: Statistic,
) {
    let modes = grouped(cells, |cell| waits(cell));
    for (position, cells) in modes.iter().enumerate() {
        // Shift the modes sideways: markers must not cover each other.
        let offset = (position as f64 - (modes.len() as f64 - 1.0) / 2.0) * 0.012 * loads.len() as f64;
        let point = |cell: &Cell| {
            let (y, interval) = statistic(cell)?;
            let step = loads.iter().position(|load| *load == load_of(cell))?;
            Some(DataPoint { x: step as f64 + offset, y, interval, hover: describe(cell)? })
        };
        for line in grouped(cells.iter().copied(), |cell| cell.conditions.shared_core) {
            line::draw(chart, axes, line.iter().filter_map(|cell| point(cell)), style(cells[0]), LineStyle::MAIN);
        }
    }
}

fn describe(cell: &Cell) -> Option<String> {
    let [(p50, _), (mean, _)] = [median(cell)?, mean(cell)?];
    let n = thousands(cell.n);
    Some(format!("{}, {}: median {}, mean {}, n {n}.", mode(cell), cell.conditions, duration(p50), duration(mean)))
}
