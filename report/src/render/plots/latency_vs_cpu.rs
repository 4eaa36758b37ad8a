//! `latency_against_cpu`: CPU time and latency of each wait mode. Lower left is better.

use super::Texts;
use super::draw::{ABOVE_UNTITLED, Axis, AxisUnit, Chart, DataPoint, LegendEntry, LineStyle, Marker, Scale, line};
use super::series::{PlotData, count_range, described, legend_of_cells, mode, style};
use crate::result::{Cell, Metric};
use bench_model::Workload;
use bench_model::units::{duration, sig3};

const HEIGHT: f64 = 330.0;

/// One point: a cell's CPU time and median latency.
struct Dot<'a> {
    cell: &'a Cell,
    paced: bool,
    cpu_ns: f64,
    p50_ns: f64,
    /// 95 % interval of the median.
    interval: Option<(f64, f64)>,
}

pub(super) fn draw(data: &PlotData<'_>, chart: &mut Chart) -> Option<Texts> {
    let cells = [Workload::Pingpong, Workload::Paced].into_iter().flat_map(|workload| data.cells(workload));
    let dots: Vec<Dot<'_>> = cells.filter_map(dot).collect();
    if dots.is_empty() {
        return None;
    }
    let mut entries = legend_of_cells(dots.iter().map(|dot| dot.cell));
    let is_corrected = dots.iter().any(|dot| dot.cell.metric() == Metric::CorrectedLatency);
    let paced_label = if is_corrected { "paced, corrected latency" } else { "paced" };
    for (paced, label) in [(false, "back to back"), (true, paced_label)] {
        if dots.iter().any(|dot| dot.paced == paced) {
            entries.push(LegendEntry::point(Marker::Circle, !paced, label));
        }
    }
    chart.legend(entries);
    let cpu = "CPU time per operation: initiator, vCPUs and QEMU's main loop";
    let x = Axis::new(Scale::log(dots.iter().map(|dot| dot.cpu_ns), 1.0), AxisUnit::Time, cpu);
    let heights = Scale::log(dots.iter().flat_map(heights), 1.0);
    let y = Axis::new(heights, AxisUnit::Time, "median latency; lower left is better");
    let area = chart.panel(ABOVE_UNTITLED, HEIGHT);
    let axes = chart.axes(area, "", x, y);
    for dot in &dots {
        let point = DataPoint { x: dot.cpu_ns, y: dot.p50_ns, interval: dot.interval, hover: describe(dot) };
        let line_style = LineStyle { filled: !dot.paced, ..LineStyle::MAIN };
        line::draw(chart, &axes, [point].into_iter(), style(dot.cell), line_style);
    }
    let caption = format!(
        "Bars: 95 % interval of the median (block bootstrap). {}{}.",
        idle(data),
        count_range(dots.iter().map(|dot| dot.cell.n))
    );
    Some(Texts { caption, alt: described(&dots, |dot| describe(dot) + ".") })
}

fn dot(cell: &Cell) -> Option<Dot<'_>> {
    let cpu_ns = cell.cpu.total_us_per_op()? * 1e3;
    let latencies = cell.latencies()?;
    let p50_ns = latencies.ns.p50? as f64;
    let interval = latencies.p50_interval_ns.map(|interval| (interval.low as f64, interval.high as f64));
    let is_drawable = cpu_ns.is_finite() && cpu_ns > 0.0;
    is_drawable.then_some(Dot { cell, paced: cell.workload == Workload::Paced, cpu_ns, p50_ns, interval })
}

fn describe(dot: &Dot<'_>) -> String {
    let paced = if dot.paced { ", paced" } else { "" };
    let (p50, cpu) = (duration(dot.p50_ns), duration(dot.cpu_ns));
    format!("{}{paced}: median {p50}, CPU time {cpu} per operation", mode(dot.cell))
}

/// The median and its interval's bounds, which the axis must include.
fn heights(dot: &Dot<'_>) -> impl Iterator<Item = f64> + use<> {
    dot.interval.into_iter().flat_map(|(low, high)| [low, high]).chain([dot.p50_ns])
}

/// CPU in use without messages, for the caption.
fn idle(data: &PlotData<'_>) -> String {
    let cores: Vec<String> = data
        .cells(Workload::Idle)
        .filter_map(|cell| Some(format!("{} {}", mode(cell), sig3(cell.cpu.cores?))))
        .collect();
    if cores.is_empty() { String::new() } else { format!("CPU in use while idle, in cores: {}. ", cores.join(", ")) }
}
