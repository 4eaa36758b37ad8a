//! `latency_histogram`: the latencies of each mode on a linear axis, and of all modes on one logarithmic axis, where a
//! few operations in the tail stay visible.

use super::Texts;
use super::draw::{
    ABOVE, Axes, Axis, AxisUnit, Chart, MUTED, Point, Rect, Scale, Stroke, TextAnchor, TextStyle, at_share, position,
    shares,
};
use super::percentile_curve::{describe, sample_counts};
use super::series::{ModeSamples, PanelGroup, PlotData, described, legend_of_groups, mode, time_scale};
use bench_model::units::{duration, sig3};

const LINEAR_HEIGHT: f64 = 130.0;
const LOG_HEIGHT: f64 = 210.0;
/// Space for a note above the bars.
const NOTE_HEIGHT: f64 = 17.0;
const LINEAR_BINS: u32 = 50;
/// Logarithmic bins per decade.
const PER_DECADE: f64 = 24.0;
/// Linear panels per row.
const COLUMNS: usize = 3;
/// A linear axis ends at this quantile, or at this multiple of p90 if lower. A tail a thousand times slower would
/// shrink the body to a single bar.
const MAX_SHARE: f64 = 0.99;
const MAX_P90_MULTIPLE: f64 = 3.0;

pub(super) fn draw(data: &PlotData<'_>, chart: &mut Chart) -> Option<Texts> {
    let groups = data.latencies();
    if groups.is_empty() {
        return None;
    }
    chart.legend(legend_of_groups(&groups));
    for group in &groups {
        linear(chart, group);
        logarithmic(chart, group);
    }
    let caption = format!(
        "Linear axes end before the tail, with a note on the rest; logarithmic axes show every operation. Each sample is spread over one clock step. {}.",
        sample_counts(&groups)
    );
    Some(Texts { caption, alt: described(&groups, describe) })
}

fn linear(chart: &mut Chart, group: &PanelGroup<'_>) {
    for row in group.series.chunks(COLUMNS) {
        let areas = chart.panels(ABOVE, LINEAR_HEIGHT, COLUMNS.min(group.series.len()));
        // These axes have no title.
        chart.y -= 14.0;
        for (series, area) in row.iter().zip(areas) {
            linear_axes(chart, &group.heading, series, area);
        }
    }
}

fn linear_axes(chart: &mut Chart, heading: &str, series: &ModeSamples<'_>, area: Rect) {
    let sorted = &series.sorted;
    let end = (at_share(sorted, 0.9) as f64 * MAX_P90_MULTIPLE).min(at_share(sorted, MAX_SHARE) as f64);
    let scale = Scale::around([at_share(sorted, 0.0) as f64, end]);
    let Scale::Linear { low, high } = scale else { return };
    let edges: Vec<f64> =
        (0..=LINEAR_BINS).map(|edge| low + (high - low) * f64::from(edge) / f64::from(LINEAR_BINS)).collect();
    let bins = shares(sorted, &edges);
    let above = sorted.len() - sorted.partition_point(|&ns| ns as f64 <= high);
    // Leave space for the note on the tail above the highest bar.
    let headroom = if above > 0 { area.3 / (area.3 - NOTE_HEIGHT) } else { 1.0 };
    let y = Scale::from_zero(bins.iter().map(|share| share * headroom));
    let y = Axis::new(y, AxisUnit::Share, "operations per bin");
    let heading = format!("{heading}, {}", mode(series.cell));
    let axes = chart.axes(area, heading, Axis::new(scale, AxisUnit::Time, ""), y);
    for (pair, share) in edges.windows(2).zip(bins).filter(|(_, share)| *share > 0.0) {
        let (left, top) = axes.point(pair[0], share);
        let bar = (left, top, axes.x_at(pair[1]) - left - 0.6, axes.bottom() - top);
        let hover = format!("{} to {}: {} %", duration(pair[0]), duration(pair[1]), sig3(share * 100.0));
        chart.svg.rect(bar, series.style.color, 1.0, &hover);
    }
    if let Some(&max) = sorted.last().filter(|_| above > 0) {
        let share = sig3(above as f64 * 100.0 / sorted.len() as f64);
        let note = format!("{share} % above, max {}", duration(max as f64));
        let how = TextStyle::new(12.0).color(MUTED).anchor(TextAnchor::End).halo();
        chart.svg.text((axes.right(), area.1 + 12.0), &note, how);
    }
}

fn logarithmic(chart: &mut Chart, group: &PanelGroup<'_>) {
    let scale = time_scale(&group.series);
    let Scale::Log { low, high } = scale else { return };
    let count = ((high / low).log10() * PER_DECADE).ceil().clamp(1.0, 600.0);
    let edges: Vec<f64> = (0..=position(count)).map(|edge| low * (high / low).powf(edge as f64 / count)).collect();
    let max_count = group.series.iter().map(|series| series.sorted.len()).max().unwrap_or(1);
    let histograms: Vec<Vec<f64>> = group.series.iter().map(|series| shares(&series.sorted, &edges)).collect();
    let floor = 0.5 / max_count as f64;
    let y = Scale::log(histograms.iter().flatten().copied().chain([floor]), floor);
    let area = chart.panel(ABOVE, LOG_HEIGHT);
    let heading = format!("{}, both axes logarithmic", group.title());
    let y = Axis::new(y, AxisUnit::Share, "operations per bin");
    let axes = chart.axes(area, heading, Axis::new(scale, AxisUnit::Time, "latency"), y);
    for (series, bins) in group.series.iter().zip(&histograms) {
        for outline in outlines(&axes, &edges, bins) {
            chart.svg.polygon(&outline, series.style.color, 0.28);
            chart.svg.polyline(&outline, Stroke::new(series.style.color, 1.4).dash(series.style.dash));
        }
    }
}

/// The outline of each contiguous range of non-empty bins.
fn outlines(axes: &Axes, edges: &[f64], bins: &[f64]) -> Vec<Vec<Point>> {
    let mut outlines: Vec<Vec<Point>> = Vec::new();
    let mut open: Option<Vec<Point>> = None;
    for (pair, share) in edges.windows(2).zip(bins) {
        let (left, right) = (axes.x_at(pair[0]), axes.x_at(pair[1]));
        if *share > 0.0 {
            let outline = open.get_or_insert_with(|| vec![(left, axes.bottom())]);
            outline.extend([(left, axes.y_at(*share)), (right, axes.y_at(*share))]);
        } else if let Some(mut outline) = open.take() {
            outline.push((left, axes.bottom()));
            outlines.push(outline);
        }
    }
    if let Some(mut outline) = open {
        outline.push((axes.right(), axes.bottom()));
        outlines.push(outline);
    }
    outlines
}
