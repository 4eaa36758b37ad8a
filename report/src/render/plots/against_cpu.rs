//! `latency_against_cpu`: CPU time and latency of each wait mode. Lower left is better.

use super::curve::{self, Kind, Point};
use super::data::{Data, count_range, mode};
use super::figure::{Entry, Figure, MARGIN, Sign, WIDTH};
use super::labels::{self, Named};
use super::palette::{MUTED, Marker, look};
use super::panel::{Axis, BELOW, LEFT, Panel};
use super::scale::{Scale, Unit};
use super::{Plot, layout};
use crate::result::Cell;
use bench_model::Workload;
use bench_model::units::{duration, sig3};

const HIGH: f64 = 330.0;

/// A cell's place.
struct Dot<'a> {
    cell: &'a Cell,
    paced: bool,
    cpu_ns: f64,
    p50_ns: f64,
    /// Of the median.
    interval: Option<(f64, f64)>,
}

pub(crate) fn plot(data: &Data<'_>) -> Option<Plot> {
    let dots: Vec<Dot<'_>> = [Workload::Pingpong, Workload::Paced]
        .into_iter()
        .flat_map(|workload| data.cells(workload))
        .filter_map(|cell| {
            let cpu_ns = cell.cpu.total_us_per_op()? * 1e3;
            let latencies = cell.latencies()?;
            let p50_ns = latencies.ns.p50? as f64;
            let interval = latencies.p50_interval_ns.map(|both| (both.low as f64, both.high as f64));
            let is_place = cpu_ns.is_finite() && cpu_ns > 0.0;
            is_place.then_some(Dot { cell, paced: cell.workload == Workload::Paced, cpu_ns, p50_ns, interval })
        })
        .collect();
    if dots.is_empty() {
        return None;
    }
    let mut figure = Figure::new("latency_against_cpu", "Latency against CPU time");
    let mut entries = layout::entries_of(dots.iter().map(|dot| dot.cell));
    let is_due = dots.iter().any(|dot| dot.cell.metric() == crate::result::metric::Metric::CorrectedLatency);
    let paced_label = if is_due { "paced, corrected latency" } else { "paced" };
    for (paced, label) in [(false, "back to back"), (true, paced_label)] {
        if dots.iter().any(|dot| dot.paced == paced) {
            entries.push(Entry { sign: Sign::Point(Marker::Circle, MUTED, !paced), label: label.into() });
        }
    }
    figure.legend(entries);
    let panel = Panel {
        area: (MARGIN + LEFT - 8.0, figure.y + 22.0, WIDTH - 2.0 * MARGIN - LEFT + 8.0, HIGH),
        heading: String::new(),
        x: Axis::new(
            Scale::log(dots.iter().map(|dot| dot.cpu_ns), 1.0),
            Unit::Time,
            "CPU time per operation: initiator, vCPUs and QEMU's main loop",
        ),
        y: Axis::new(
            Scale::log(dots.iter().flat_map(heights), 1.0),
            Unit::Time,
            "median latency; lower left is better",
        ),
    };
    panel.frame(&mut figure.canvas);
    let mut names: Vec<Named> = Vec::new();
    for dot in &dots {
        let point = Point { x: dot.cpu_ns, y: dot.p50_ns, interval: dot.interval, hover: in_words(dot) };
        let kind = Kind { filled: !dot.paced, ..Kind::MAIN };
        let look = look(dot.cell.host_wait, dot.cell.guest_wait);
        curve::draw(&mut figure, &panel, &[point], look, kind);
        let paced = if dot.paced { ", paced" } else { "" };
        names.push(Named {
            at: panel.place(dot.cpu_ns, dot.p50_ns),
            whisker: dot.interval.map(|(low, high)| (panel.py(high), panel.py(low))),
            name: format!("{}{paced}", mode(dot.cell)),
            color: look.color,
        });
    }
    labels::beside(&mut figure.canvas, panel.area, &names);
    figure.y += 22.0 + HIGH + BELOW;
    let caption = format!(
        "Bars: 95 % interval of the median (block bootstrap). {}{}.",
        idle(data),
        count_range(dots.iter().map(|dot| dot.cell.n))
    );
    let alt = dots.iter().map(in_words).collect::<Vec<_>>().join(". ") + ".";
    Some(figure.finish(caption, data.place(), alt))
}

fn in_words(dot: &Dot<'_>) -> String {
    let paced = if dot.paced { ", paced" } else { "" };
    let (p50, cpu) = (duration(dot.p50_ns), duration(dot.cpu_ns));
    format!("{}{paced}: median {p50}, CPU time {cpu} per operation", mode(dot.cell))
}

/// The median and the ends of its interval.
fn heights(dot: &Dot<'_>) -> impl Iterator<Item = f64> + use<> {
    dot.interval.into_iter().flat_map(|(low, high)| [low, high]).chain([dot.p50_ns])
}

/// What waiting alone costs.
fn idle(data: &Data<'_>) -> String {
    let told: Vec<String> = data
        .cells(Workload::Idle)
        .filter_map(|cell| Some(format!("{} {}", mode(cell), sig3(cell.cpu.cores?))))
        .collect();
    if told.is_empty() { String::new() } else { format!("CPU in use while idle, in cores: {}. ", told.join(", ")) }
}
