//! `bandwidth_analysis`: four panels of frames: distribution of the bandwidth, bandwidth by size, success rate, and
//! duration in order.

use super::Texts;
use super::draw::{
    Axis, AxisUnit, BELOW, Chart, DataPoint, INK, LEFT, LIMIT, LineStyle, MARGIN, MUTED, Point, Rect, Scale, Stroke,
    TextAnchor, TextStyle, WIDTH, line,
};
use super::frame_rows::{LABELS_WIDTH, ROW, label_rows, rows};
use super::series::{
    ModeSamples, PlotData, counts, described, distinct, grouped, legend_of_cells, mode, style, time_scale, waits,
};
use crate::result::Cell;
use bench_model::Workload;
use bench_model::units::{duration, size_name, speed, thousands};
use statistics::Percentile;

/// Space above a panel for its heading and axis title.
const ABOVE: f64 = 46.0;
const MIN_HEIGHT: f64 = 150.0;
/// Line height of labels at line ends, and the space reserved right of the panel for them.
const LABEL_HEIGHT: f64 = 13.0;
const LABEL_WIDTH: f64 = 48.0;
/// Maximum number of dots per row.
const DOTS: usize = 150;

pub(super) fn draw(data: &PlotData<'_>, chart: &mut Chart) -> Option<Texts> {
    let cells: Vec<&Cell> =
        data.cells(Workload::Frame).filter(|cell| cell.n > 0 || !cell.failures.is_empty()).collect();
    let frames: Vec<ModeSamples<'_>> = cells.iter().filter_map(|cell| data.series(cell)).collect();
    if frames.is_empty() {
        return None;
    }
    chart.legend(legend_of_cells(cells.iter().copied()));
    let (starts, needed) = rows(&cells);
    let high = needed.max(MIN_HEIGHT);
    let middle = f64::midpoint(MARGIN, WIDTH - MARGIN) + 20.0;
    let first = chart.y + ABOVE;
    let second = first + high + BELOW + ABOVE + 4.0;
    let left = (MARGIN + LABELS_WIDTH, middle - 34.0 - MARGIN - LABELS_WIDTH);
    let right = (middle + LEFT - 8.0, WIDTH - MARGIN - middle - LEFT + 8.0);
    distribution(chart, (left.0, first, left.1, high), &cells, &frames, &starts);
    by_size(chart, (right.0, first, right.1, high), &frames);
    success(chart, (left.0, second, left.1, high), &cells, &starts);
    over_time(chart, (right.0, second, right.1, high), &frames);
    chart.y = second + high + BELOW;
    let caption = format!(
        "End to end: from before the write until the host sees that the guest verified the frame. Cold frames (flushed caches) are left out. {}.",
        counts(frames.iter().map(|series| (series.cell, series.sorted.len())))
    );
    Some(Texts { caption, alt: described(&cells, |cell| describe(cell)) })
}

fn rate(cell: &Cell, ns: u64) -> f64 {
    cell.size_bytes as f64 * 1e9 / ns.max(1) as f64
}

fn distribution(chart: &mut Chart, area: Rect, cells: &[&Cell], frames: &[ModeSamples<'_>], starts: &[f64]) {
    let fastest = frames.iter().filter_map(|series| Some(rate(series.cell, *series.sorted.first()?)));
    let x = Axis::new(Scale::from_zero(fastest), AxisUnit::Speed, "bytes per second, end to end");
    let axes = chart.axes(area, "distribution", x, Axis::unlabelled("each frame; bar: median"));
    label_rows(&mut chart.svg, area, cells, starts);
    for (cell, start) in cells.iter().zip(starts) {
        let Some(series) = frames.iter().find(|series| std::ptr::eq(series.cell, *cell)) else { continue };
        let y = area.1 + start + ROW / 2.0;
        let each = series.sorted.len().div_ceil(DOTS).max(1);
        let ends = series.sorted.last().into_iter();
        let dots: Vec<Point> =
            series.sorted.iter().step_by(each).chain(ends).map(|&ns| (axes.x_at(rate(cell, ns)), y)).collect();
        chart.svg.dots(&dots, 7.0, series.style.color, 0.45);
        if let Some(p50) = Percentile::P50.of(&series.sorted) {
            let (x, bandwidth) = (axes.x_at(rate(cell, p50)), speed(rate(cell, p50)));
            let hover = format!("{} {}: median {bandwidth}", size_name(cell.size_bytes), mode(cell));
            chart.svg.rect((x - 1.3, y - ROW / 2.0 + 3.5, 2.6, ROW - 7.0), INK, 1.0, &hover);
        }
    }
}

fn by_size(chart: &mut Chart, area: Rect, frames: &[ModeSamples<'_>]) {
    let sizes = distinct(frames.iter().map(|series| series.cell.size_bytes));
    let x = Axis::categories(sizes.iter().map(|size| size_name(*size)), 0.5, "");
    let interval = |series: &ModeSamples<'_>| {
        let interval = Percentile::P50.interval(&series.sorted)?;
        Some((rate(series.cell, interval.high), rate(series.cell, interval.low)))
    };
    let median = |series: &ModeSamples<'_>| Some(rate(series.cell, Percentile::P50.of(&series.sorted)?));
    let tops = frames.iter().flat_map(|series| [median(series), interval(series).map(|(_, high)| high)]).flatten();
    let y = Axis::new(Scale::from_zero(tops), AxisUnit::Speed, "median with 95 % interval");
    let axes = chart.axes(area, "by size", x, y);
    let modes = grouped(frames, |series| waits(series.cell));
    for (position, same_mode) in modes.iter().enumerate() {
        let offset = (position as f64 - (modes.len() as f64 - 1.0) / 2.0) * (0.5 / modes.len() as f64).min(0.12);
        let point = |series: &&ModeSamples<'_>| {
            let at = sizes.iter().position(|size| *size == series.cell.size_bytes)?;
            let (size, median) = (size_name(series.cell.size_bytes), median(series)?);
            let hover = format!("{size} {}: {}", mode(series.cell), speed(median));
            Some(DataPoint { x: at as f64 + offset, y: median, interval: interval(series), hover })
        };
        line::draw(chart, &axes, same_mode.iter().filter_map(point), same_mode[0].style, LineStyle::MAIN);
    }
}

fn over_time(chart: &mut Chart, area: Rect, frames: &[ModeSamples<'_>]) {
    let longest = frames.iter().map(|series| series.sorted.len()).max().unwrap_or(1);
    let scale = Scale::Linear { low: 0.0, high: longest as f64 + 0.5 };
    let x = Axis::new(scale, AxisUnit::Count, "frame number, per size and mode");
    let y = Axis::new(time_scale(frames), AxisUnit::Time, "end to end");
    let axes = chart.axes((area.0, area.1, area.2 - LABEL_WIDTH, area.3), "duration in order", x, y);
    let mut line_ends: Vec<(Point, u64)> = Vec::new();
    for series in frames {
        let samples: Vec<u64> = series.blocks.iter().flat_map(|block| block.samples.iter().copied()).collect();
        let each = samples.len().div_ceil(DOTS).max(1);
        // Keep the slowest of each chunk: outliers must stay visible.
        let places: Vec<Point> = samples
            .chunks(each)
            .enumerate()
            .filter_map(|(at, chunk)| Some(axes.point((at * each + 1) as f64, *chunk.iter().max()? as f64)))
            .collect();
        chart.svg.polyline(&places, Stroke::new(series.style.color, 1.4).dash(series.style.dash));
        chart.svg.dots(&places, 5.0, series.style.color, 1.0);
        line_ends.extend(places.last().map(|&end| (end, series.cell.size_bytes)));
    }
    // One label per size, at the mean height of its line ends: colour and marker already identify the mode.
    let mean = |ends: &Vec<(Point, u64)>| ends.iter().map(|(end, _)| end.1).sum::<f64>() / ends.len() as f64;
    let mut sizes: Vec<(f64, u64)> =
        grouped(line_ends, |(_, size)| *size).iter().map(|ends| (mean(ends), ends[0].1)).collect();
    sizes.sort_by(|a, b| a.0.total_cmp(&b.0));
    let heights: Vec<f64> = sizes.iter().map(|(height, _)| *height).collect();
    for ((_, size), y) in sizes.iter().zip(spread(&heights, axes.bottom())) {
        chart.svg.text((axes.right() + 10.0, y + 4.0), &size_name(*size), TextStyle::new(11.0).color(INK));
    }
}

/// Moves ascending label positions apart to avoid overlaps, above `lowest` if all fit.
fn spread(heights: &[f64], lowest: f64) -> Vec<f64> {
    let mut moved = heights.to_vec();
    for at in 1..moved.len() {
        moved[at] = moved[at].max(moved[at - 1] + LABEL_HEIGHT);
    }
    let mut limit = lowest;
    for height in moved.iter_mut().rev() {
        *height = height.min(limit);
        limit = *height - LABEL_HEIGHT;
    }
    moved
}

fn success(chart: &mut Chart, area: Rect, cells: &[&Cell], starts: &[f64]) {
    let x = Axis::new(Scale::Linear { low: 0.0, high: 1.0 }, AxisUnit::Share, "share of verified frames");
    let axes = chart.axes(area, "success", x, Axis::unlabelled("verified frames"));
    label_rows(&mut chart.svg, area, cells, starts);
    for (cell, start) in cells.iter().zip(starts) {
        let (ok, all) = attempts(cell);
        let share = if all > 0 { ok as f64 / all as f64 } else { 0.0 };
        let y = area.1 + start;
        let (from, to) = (axes.x_at(0.0), axes.x_at(share));
        let style = style(cell);
        chart.svg.rect((from, y + 2.0, to - from, ROW - 4.0), style.color, 0.3, &describe(cell));
        chart.svg.line((to, y + 2.0), (to, y + ROW - 2.0), Stroke::new(style.color, 2.0));
        let failed = all - ok;
        let text = if failed == 0 {
            format!("all {} ok", thousands(ok))
        } else {
            format!("{} of {} ok: {}", thousands(ok), thousands(all), failures(cell))
        };
        let text_style = TextStyle::new(11.5).color(if failed == 0 { MUTED } else { INK });
        chart.svg.text((from + 8.0, y + ROW / 2.0 + 4.0), &text, text_style.anchor(TextAnchor::Start));
    }
    chart.svg.line((axes.area.0, area.1), (axes.area.0, axes.bottom()), Stroke::new(LIMIT, 1.0));
}

/// Verified frames, and all frames.
fn attempts(cell: &Cell) -> (u64, u64) {
    (cell.n, cell.n.saturating_add(cell.failed()))
}

fn failures(cell: &Cell) -> String {
    cell.failures.iter().map(|(status, n)| format!("{} {status}", thousands(*n))).collect::<Vec<_>>().join(", ")
}

fn describe(cell: &Cell) -> String {
    let (ok, all) = attempts(cell);
    let median = cell.latency_ns.as_ref().and_then(|latency| latency.p50);
    let text = median.map_or_else(
        || "no chart".to_owned(),
        |ns| format!("median {}, {}", duration(ns as f64), speed(rate(cell, ns))),
    );
    format!("{} {}: {text}; {} of {} ok.", size_name(cell.size_bytes), mode(cell), thousands(ok), thousands(all))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_at_line_ends_do_not_overlap() {
        assert_eq!(spread(&[10.0, 50.0], 100.0), [10.0, 50.0]);
        assert_eq!(spread(&[10.0, 10.0, 11.0], 100.0), [10.0, 23.0, 36.0]);
        assert_eq!(spread(&[98.0, 99.0, 100.0], 100.0), [74.0, 87.0, 100.0], "moves up without space below");
    }
}
