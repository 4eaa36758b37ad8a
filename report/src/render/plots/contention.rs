//! `contention`: latency with busy threads on the same cores, back to back and paced. Back to back, a running poller
//! looks unaffected; with a gap, it waits for its core. Its latencies are then bimodal, so the mean is drawn as well.

use super::Plot;
use super::draw::axes::{ABOVE, Axes, Axis, BELOW, side_by_side};
use super::draw::chart::Chart;
use super::draw::line::{self, DataPoint, LineStyle};
use super::draw::palette::{GRID, series_style};
use super::draw::scale::{AxisUnit, Scale, Tick};
use super::draw::svg::Stroke;
use super::series::{PlotData, count_range, legend_of_cells, mode};
use crate::result::Cell;
use bench_model::Workload;
use bench_model::units::{duration, thousands};

const HEIGHT: f64 = 290.0;

/// The statistic that a panel shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Statistic {
    Median,
    Mean,
}

impl Statistic {
    fn name(self) -> &'static str {
        match self {
            Self::Median => "median",
            Self::Mean => "mean",
        }
    }

    /// The statistic of a cell with its interval; corrected latency where messages have a scheduled send time.
    fn of(self, cell: &Cell) -> Option<(f64, Option<(f64, f64)>)> {
        let latencies = cell.latencies()?;
        match self {
            Self::Median => {
                let interval = latencies.p50_interval_ns.or(latencies.ns.intervals.p50);
                Some((latencies.ns.p50? as f64, interval.map(|interval| (interval.low as f64, interval.high as f64))))
            }
            Self::Mean => Some((latencies.ns.mean, None)),
        }
    }
}

/// Whether both sides share a core, and the number of busy threads.
fn load_of(cell: &Cell) -> (bool, u32) {
    (cell.conditions.shared_core, cell.conditions.busy_threads.unwrap_or(0))
}

pub(crate) fn plot(data: &PlotData<'_>) -> Option<Plot> {
    let cells: Vec<&Cell> =
        data.cells(Workload::Contention).filter(|cell| Statistic::Median.of(cell).is_some()).collect();
    if cells.is_empty() {
        return None;
    }
    let mut gaps: Vec<Option<u64>> = cells.iter().map(|cell| cell.conditions.gap_ns).collect();
    gaps.sort_unstable();
    gaps.dedup();
    gaps.truncate(2);
    let mut loads: Vec<(bool, u32)> = cells.iter().map(|cell| load_of(cell)).collect();
    loads.sort_unstable();
    loads.dedup();
    let step = |cell: &Cell| loads.iter().position(|load| *load == load_of(cell)).unwrap_or(0) as f64;
    let name = |(shared_core, threads): &(bool, u32)| match (shared_core, threads) {
        (true, 0) => "one core".to_owned(),
        (true, threads) => format!("one core + {}", thousands((*threads).into())),
        (false, threads) => thousands((*threads).into()),
    };
    let ticks = loads.iter().enumerate().map(|(index, load)| Tick { value: index as f64, label: name(load) }).collect();
    let x = Axis::new(Scale::Linear { low: -0.4, high: loads.len() as f64 - 0.6 }, AxisUnit::Count, "busy threads")
        .named(ticks);
    let mut panels: Vec<(Option<u64>, Statistic)> = gaps.iter().map(|gap| (*gap, Statistic::Median)).collect();
    panels.extend(gaps.iter().filter(|gap| gap.is_some()).map(|gap| (*gap, Statistic::Mean)));
    let extremes = panels.iter().flat_map(|&(gap, statistic)| {
        let cells_here = cells.iter().filter(move |cell| cell.conditions.gap_ns == gap);
        cells_here.filter_map(move |cell| statistic.of(cell)).flat_map(|(value, interval)| {
            let (low, high) = interval.unwrap_or((value, value));
            [value, low, high]
        })
    });
    let scale = Scale::log(extremes, 1.0);
    let mut chart = Chart::new("contention", "Latency with busy threads");
    chart.legend(legend_of_cells(cells.iter().copied()));
    for (&(gap, statistic), area) in panels.iter().zip(side_by_side(chart.y + ABOVE, HEIGHT, panels.len())) {
        let heading =
            gap.map_or_else(|| "back to back".to_owned(), |gap| format!("every {}, corrected", duration(gap as f64)));
        let y = Axis::new(scale, AxisUnit::Time, statistic.name());
        let axes = Axes { area, heading, x: x.clone(), y };
        axes.draw(&mut chart.svg);
        let shared = loads.iter().filter(|(shared_core, _)| !shared_core).count();
        if shared > 0 && shared < loads.len() {
            let between = axes.x_at(shared as f64 - 0.5);
            let stroke = Stroke::new(GRID, 1.5).dash("4 4");
            chart.svg.line((between, area.1), (between, axes.bottom()), stroke);
        }
        let cells_here: Vec<&Cell> = cells.iter().copied().filter(|cell| cell.conditions.gap_ns == gap).collect();
        lines(&mut chart, &axes, &cells_here, statistic, (&step, loads.len()));
    }
    chart.y += ABOVE + HEIGHT + BELOW;
    let note =
        if loads.iter().any(|(shared_core, _)| *shared_core) { " One core: both sides share a core." } else { "" };
    let caption = format!("Bars: 95 % interval of the median.{note} {}.", count_range(cells.iter().map(|cell| cell.n)));
    let alt = cells.iter().filter_map(|cell| describe(cell)).collect::<Vec<_>>().join(" ");
    Some(chart.finish(caption, data.environment(), alt))
}

/// `step` maps a cell to its position among `steps`.
fn lines(
    chart: &mut Chart,
    axes: &Axes,
    cells: &[&Cell],
    statistic: Statistic,
    (step, steps): (&dyn Fn(&Cell) -> f64, usize),
) {
    let mut modes: Vec<_> = cells.iter().map(|cell| (cell.host_wait, cell.guest_wait)).collect();
    modes.sort_unstable();
    modes.dedup();
    for (position, (host, guest)) in modes.iter().enumerate() {
        // Shift the modes sideways: markers must not cover each other.
        let offset = (position as f64 - (modes.len() as f64 - 1.0) / 2.0) * 0.012 * steps as f64;
        for shared_core in [false, true] {
            let mut points: Vec<DataPoint> = cells
                .iter()
                .filter(|cell| (cell.host_wait, cell.guest_wait) == (*host, *guest))
                .filter(|cell| cell.conditions.shared_core == shared_core)
                .filter_map(|cell| {
                    let (y, interval) = statistic.of(cell)?;
                    Some(DataPoint { x: step(cell) + offset, y, interval, hover: describe(cell)? })
                })
                .collect();
            points.sort_by(|a, b| a.x.total_cmp(&b.x));
            line::draw(chart, axes, &points, series_style(*host, *guest), LineStyle::MAIN);
        }
    }
}

fn describe(cell: &Cell) -> Option<String> {
    let [(p50, _), (mean, _)] = [Statistic::Median.of(cell)?, Statistic::Mean.of(cell)?];
    let n = thousands(cell.n);
    Some(format!("{}, {}: median {}, mean {}, n {n}.", mode(cell), cell.conditions, duration(p50), duration(mean)))
}
