//! `contention`: latency with busy threads on the same cores, back to back and paced. Back to back, a running poller looks
//! unaffected; a paced one waits for its core. Its latencies are bimodal then, so their mean is drawn as well.

use super::canvas::Stroke;
use super::curve::{self, Kind, Point};
use super::data::{Data, count_range, mode};
use super::figure::Figure;
use super::palette::{GRID, look};
use super::panel::{ABOVE, Axis, BELOW, Panel};
use super::scale::{Scale, Tick, Unit};
use super::{Plot, layout};
use crate::result::Cell;
use bench_model::Workload;
use bench_model::units::{duration, thousands};

const HIGH: f64 = 290.0;

/// What a panel shows of the latencies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    Median,
    Mean,
}

impl Shown {
    fn name(self) -> &'static str {
        match self {
            Self::Median => "median",
            Self::Mean => "mean",
        }
    }

    /// Of a cell, with the interval if there is one: where messages were due at a time, from then on.
    fn of(self, cell: &Cell) -> Option<(f64, Option<(f64, f64)>)> {
        let latencies = cell.latencies()?;
        match self {
            Self::Median => {
                let interval = latencies.p50_interval_ns.or(latencies.ns.intervals.p50);
                Some((latencies.ns.p50? as f64, interval.map(|both| (both.low as f64, both.high as f64))))
            }
            Self::Mean => Some((latencies.ns.mean, None)),
        }
    }
}

/// Whether both sides shared a core, and the other threads.
fn crowd(cell: &Cell) -> (bool, u32) {
    (cell.conditions.shared_core, cell.conditions.busy_threads.unwrap_or(0))
}

pub(crate) fn plot(data: &Data<'_>) -> Option<Plot> {
    let cells: Vec<&Cell> = data.cells(Workload::Contention).filter(|cell| Shown::Median.of(cell).is_some()).collect();
    if cells.is_empty() {
        return None;
    }
    let mut gaps: Vec<Option<u64>> = cells.iter().map(|cell| cell.conditions.gap_ns).collect();
    gaps.sort_unstable();
    gaps.dedup();
    gaps.truncate(2);
    let mut crowds: Vec<(bool, u32)> = cells.iter().map(|cell| crowd(cell)).collect();
    crowds.sort_unstable();
    crowds.dedup();
    let step = |cell: &Cell| crowds.iter().position(|one| *one == crowd(cell)).unwrap_or(0) as f64;
    let name = |(shared_core, threads): &(bool, u32)| match (shared_core, threads) {
        (true, 0) => "one core".to_owned(),
        (true, threads) => format!("one core + {}", thousands((*threads).into())),
        (false, threads) => thousands((*threads).into()),
    };
    let ticks = crowds.iter().enumerate().map(|(at, one)| Tick { value: at as f64, label: name(one) }).collect();
    let x = Axis::new(Scale::Linear { low: -0.4, high: crowds.len() as f64 - 0.6 }, Unit::Count, "busy threads")
        .named(ticks);
    let mut panels: Vec<(Option<u64>, Shown)> = gaps.iter().map(|gap| (*gap, Shown::Median)).collect();
    panels.extend(gaps.iter().filter(|gap| gap.is_some()).map(|gap| (*gap, Shown::Mean)));
    let both_ends = panels.iter().flat_map(|&(gap, shown)| {
        let here = cells.iter().filter(move |cell| cell.conditions.gap_ns == gap);
        here.filter_map(move |cell| shown.of(cell)).flat_map(|(value, interval)| {
            let (low, high) = interval.unwrap_or((value, value));
            [value, low, high]
        })
    });
    let scale = Scale::log(both_ends, 1.0);
    let mut figure = Figure::new("contention", "Latency with busy threads");
    figure.legend(layout::entries_of(cells.iter().copied()));
    for (&(gap, shown), area) in panels.iter().zip(layout::side_by_side(figure.y + ABOVE, HIGH, panels.len())) {
        let heading =
            gap.map_or_else(|| "back to back".to_owned(), |gap| format!("every {}, corrected", duration(gap as f64)));
        let y = Axis::new(scale, Unit::Time, shown.name());
        let panel = Panel { area, heading, x: x.clone(), y };
        panel.frame(&mut figure.canvas);
        let shared = crowds.iter().filter(|(shared_core, _)| !shared_core).count();
        if shared > 0 && shared < crowds.len() {
            let between = panel.px(shared as f64 - 0.5);
            let stroke = Stroke::new(GRID, 1.5).dash("4 4");
            figure.canvas.line((between, area.1), (between, panel.bottom()), stroke);
        }
        let here: Vec<&Cell> = cells.iter().copied().filter(|cell| cell.conditions.gap_ns == gap).collect();
        lines(&mut figure, &panel, &here, shown, (&step, crowds.len()));
    }
    figure.y += ABOVE + HIGH + BELOW;
    let shared_core =
        if crowds.iter().any(|(shared_core, _)| *shared_core) { " One core: both sides share a core." } else { "" };
    let caption =
        format!("Bars: 95 % interval of the median.{shared_core} {}.", count_range(cells.iter().map(|cell| cell.n)));
    let alt = cells.iter().filter_map(|cell| in_words(cell)).collect::<Vec<_>>().join(" ");
    Some(figure.finish(caption, data.place(), alt))
}

/// `step` is where a cell lies, of so many places.
fn lines(
    figure: &mut Figure,
    panel: &Panel,
    cells: &[&Cell],
    shown: Shown,
    (step, crowds): (&dyn Fn(&Cell) -> f64, usize),
) {
    let mut ways: Vec<_> = cells.iter().map(|cell| (cell.host_wait, cell.guest_wait)).collect();
    ways.sort_unstable();
    ways.dedup();
    for (position, (host, guest)) in ways.iter().enumerate() {
        // Beside each other, so that no point hides another.
        let aside = (position as f64 - (ways.len() as f64 - 1.0) / 2.0) * 0.012 * crowds as f64;
        for shared_core in [false, true] {
            let mut points: Vec<Point> = cells
                .iter()
                .filter(|cell| (cell.host_wait, cell.guest_wait) == (*host, *guest))
                .filter(|cell| cell.conditions.shared_core == shared_core)
                .filter_map(|cell| {
                    let (y, interval) = shown.of(cell)?;
                    Some(Point { x: step(cell) + aside, y, interval, hover: in_words(cell)? })
                })
                .collect();
            points.sort_by(|one, other| one.x.total_cmp(&other.x));
            curve::draw(figure, panel, &points, look(*host, *guest), Kind::MAIN);
        }
    }
}

fn in_words(cell: &Cell) -> Option<String> {
    let [(p50, _), (mean, _)] = [Shown::Median.of(cell)?, Shown::Mean.of(cell)?];
    let n = thousands(cell.n);
    Some(format!("{}, {}: median {}, mean {}, n {n}.", mode(cell), cell.conditions, duration(p50), duration(mean)))
}
