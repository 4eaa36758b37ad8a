//! `frame_phases`: mean duration of writing, notifying, reading and verifying a frame, with the minimum for the copies
//! at peak bandwidth.

use super::Texts;
use super::draw::{
    Axis, AxisUnit, BELOW, Chart, INK, LegendEntry, MARGIN, MUTED, NOTIFY, READ, Rect, Scale, Stroke, TextStyle,
    VERIFY, WIDTH, WRITE,
};
use super::frame_rows::{LABELS_WIDTH, ROW, label_rows, rows};
use super::series::{ModeSamples, PlotData, counts, described, middle_half, mode};
use crate::result::Cell;
use bench_model::Workload;
use bench_model::raw::PeakBandwidths;
use bench_model::units::{duration, size_name};

const PHASES: [(&str, &str); 4] = [("write", WRITE), ("notify", NOTIFY), ("read", READ), ("verify (SHA-256)", VERIFY)];
/// Space above a panel with a heading only.
const HEADING: f64 = 30.0;

struct FrameBar<'a> {
    series: ModeSamples<'a>,
    /// Mean nanoseconds per phase.
    phases: [f64; 4],
    /// Minimum time for the two copies at peak bandwidth: the host's write and the guest's read.
    copy_ns: Option<f64>,
}

pub(super) fn draw(data: &PlotData<'_>, chart: &mut Chart) -> Option<Texts> {
    let series = data.cells(Workload::Frame).filter_map(|cell| data.series(cell));
    let frames: Vec<FrameBar<'_>> = series.filter_map(|series| frame(data, series)).collect();
    if frames.is_empty() {
        return None;
    }
    let mut entries: Vec<LegendEntry> =
        PHASES.iter().map(|(name, color)| LegendEntry::area(color, 1.0, name)).collect();
    if frames.iter().any(|frame| frame.copy_ns.is_some()) {
        entries.push(LegendEntry::line(Stroke::new(INK, 2.0), "both copies at peak bandwidth"));
    }
    chart.legend(entries);
    let cells: Vec<&Cell> = frames.iter().map(|frame| frame.series.cell).collect();
    let (starts, high) = rows(&cells);
    let top = chart.y + HEADING;
    let half = (WIDTH - 2.0 * MARGIN - LABELS_WIDTH - 40.0) / 2.0;
    let left = MARGIN + LABELS_WIDTH;
    let all_phases: Rect = (left, top, half, high);
    let copies: Rect = (left + half + 40.0, top, half, high);
    stacked(chart, "all phases", all_phases, &frames, &starts, 4);
    stacked(chart, "without verify", copies, &frames, &starts, 3);
    label_rows(&mut chart.svg, all_phases, &cells, &starts);
    chart.y = top + high + BELOW;
    let counts = counts(frames.iter().map(|frame| (frame.series.cell, frame.series.sorted.len())));
    let caption = format!(
        "Means over the middle half of the frames; the phases add up. Line: minimum time for the two copies (host to region, region to guest) at the peak bandwidth of the nearest size in the same run. {counts}.",
    );
    Some(Texts { caption, alt: described(&frames, describe) })
}

fn frame<'a>(data: &PlotData<'a>, series: ModeSamples<'a>) -> Option<FrameBar<'a>> {
    let stable = data.run.blocks_of(series.cell.key()).filter(|block| block.measured.clock.is_stable());
    let operations: Vec<(u64, [f64; 4])> = stable
        .flat_map(|block| block.ok_rows())
        .filter_map(|row| {
            let phases = [row.write_ns? as f64, row.notify_ns? as f64, row.read_ns? as f64, row.verify_ns? as f64];
            Some((row.end_to_end_ns?, phases.map(|ns| ns.max(0.0))))
        })
        .collect();
    let phases = middle_half(operations)?;
    let copy_ns = copy_ns(&data.result.ceilings, series.cell.size_bytes);
    Some(FrameBar { series, phases, copy_ns })
}

/// Time to write to the region and read from it at the peak bandwidth of the nearest measured size.
fn copy_ns(sizes: &[PeakBandwidths], bytes: u64) -> Option<f64> {
    let distance = |size: &&PeakBandwidths| (size.size_bytes.max(1) as f64 / bytes.max(1) as f64).ln().abs();
    let nearest = sizes.iter().min_by(|a, b| distance(a).total_cmp(&distance(b)))?;
    let ns = bytes as f64 * 1e9 * (1.0 / nearest.host.heap_to_region + 1.0 / nearest.guest.region_to_heap);
    (ns.is_finite() && ns > 0.0).then_some(ns)
}

fn stacked(chart: &mut Chart, heading: &str, area: Rect, frames: &[FrameBar<'_>], starts: &[f64], phases: usize) {
    let sum = |frame: &FrameBar<'_>| frame.phases[..phases].iter().sum::<f64>();
    let longest = frames.iter().flat_map(|frame| [Some(sum(frame)), frame.copy_ns]).flatten().fold(1.0, f64::max);
    let x = Axis::new(Scale::from_zero([longest * 1.14]), AxisUnit::Time, "time per frame");
    let axes = chart.axes(area, heading, x, Axis::unlabelled(""));
    for (frame, start) in frames.iter().zip(starts) {
        let y = area.1 + start + 2.0;
        let mut from = 0.0;
        for ((name, color), ns) in PHASES.iter().zip(frame.phases).take(phases) {
            let (left, right) = (axes.x_at(from), axes.x_at(from + ns));
            let hover = format!(
                "{} {} {name}: {}",
                size_name(frame.series.cell.size_bytes),
                mode(frame.series.cell),
                duration(ns)
            );
            chart.svg.rect((left, y, right - left, ROW - 4.0), color, 1.0, &hover);
            from += ns;
        }
        // Right of the bar and of the marker for the copies.
        let end = axes.x_at(from.max(frame.copy_ns.unwrap_or(0.0))) + 7.0;
        chart.svg.text((end, y + ROW - 8.5), &duration(from), TextStyle::new(11.5).color(MUTED).halo());
        if let Some(copy) = frame.copy_ns {
            let x = axes.x_at(copy);
            chart.svg.line((x, y - 2.0), (x, y + ROW - 2.0), Stroke::new(INK, 2.0));
        }
    }
}

fn describe(frame: &FrameBar<'_>) -> String {
    let phases: Vec<String> =
        PHASES.iter().zip(frame.phases).map(|((name, _), ns)| format!("{name} {}", duration(ns))).collect();
    let copy = frame.copy_ns.map_or_else(String::new, |ns| format!("; copies at peak bandwidth {}", duration(ns)));
    let cell = frame.series.cell;
    format!("{} {}: {}{copy}.", size_name(cell.size_bytes), mode(cell), phases.join(", "))
}
