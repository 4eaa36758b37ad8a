//! `bandwidth_analysis`: frames in four panels: each one's speed, the speed by size, how long each took in turn, and
//! how many came through.

use super::canvas::{Anchor, Area, Place, Stroke, Type};
use super::curve::{self, Kind, Point};
use super::data::{Data, Series, counts, mode};
use super::figure::{Figure, MARGIN, WIDTH};
use super::frames::{NAMES, ROW, name_rows, rows};
use super::palette::{INK, LIMIT, MUTED};
use super::panel::{Axis, BELOW, LEFT, Panel};
use super::scale::{Scale, Tick, Unit};
use super::{Plot, layout};
use crate::result::Cell;
use crate::stats::Percentile;
use bench_model::Workload;
use bench_model::units::size_name;
use bench_model::units::{duration, speed, thousands};

/// Above a panel with a heading and an axis' title.
const ABOVE: f64 = 46.0;
const MIN_HIGH: f64 = 150.0;
/// From one name at a line's end to the next, and from the panel to the names.
const NAME_HIGH: f64 = 13.0;
const NAME_WIDE: f64 = 48.0;
/// Frames of one row that are drawn.
const DOTS: usize = 150;

pub(crate) fn plot(data: &Data<'_>) -> Option<Plot> {
    let cells: Vec<&Cell> =
        data.cells(Workload::Frame).filter(|cell| cell.n > 0 || !cell.failures.is_empty()).collect();
    let frames: Vec<Series<'_>> = cells.iter().filter_map(|cell| data.series(cell)).collect();
    if frames.is_empty() {
        return None;
    }
    let mut figure = Figure::new("bandwidth_analysis", "Frames: bandwidth, duration and success");
    figure.legend(layout::entries_of(cells.iter().copied()));
    let (starts, needed) = rows(&cells);
    let high = needed.max(MIN_HIGH);
    let middle = f64::midpoint(MARGIN, WIDTH - MARGIN) + 20.0;
    let first = figure.y + ABOVE;
    let second = first + high + BELOW + ABOVE + 4.0;
    let left = (MARGIN + NAMES, middle - 34.0 - MARGIN - NAMES);
    let right = (middle + LEFT - 8.0, WIDTH - MARGIN - middle - LEFT + 8.0);
    distribution(&mut figure, (left.0, first, left.1, high), &cells, &frames, &starts);
    by_size(&mut figure, (right.0, first, right.1, high), &frames);
    success(&mut figure, (left.0, second, left.1, high), &cells, &starts);
    over_time(&mut figure, (right.0, second, right.1, high), &frames);
    figure.y = second + high + BELOW;
    let caption = format!(
        "End to end: from before the write until the host sees that the guest verified the frame. Cold frames (flushed caches) are left out. {}.",
        counts(frames.iter().map(|one| (one.cell, one.sorted.len())))
    );
    let alt = cells.iter().map(|cell| in_words(cell)).collect::<Vec<_>>().join(" ");
    Some(figure.finish(caption, data.place(), alt))
}

fn rate(cell: &Cell, ns: u64) -> f64 {
    cell.size_bytes as f64 * 1e9 / ns.max(1) as f64
}

fn unnamed(title: &str) -> Axis {
    Axis::new(Scale::Linear { low: 0.0, high: 1.0 }, Unit::Count, title).named(Vec::<Tick>::new())
}

fn distribution(figure: &mut Figure, area: Area, cells: &[&Cell], frames: &[Series<'_>], starts: &[f64]) {
    let fastest = frames.iter().filter_map(|one| Some(rate(one.cell, *one.sorted.first()?)));
    let x = Axis::new(Scale::from_zero(fastest), Unit::Speed, "bytes per second, end to end");
    let panel = Panel { area, heading: "distribution".into(), x, y: unnamed("each frame; bar: median") };
    panel.frame(&mut figure.canvas);
    name_rows(&mut figure.canvas, &panel, cells, starts);
    for (cell, start) in cells.iter().zip(starts) {
        let Some(one) = frames.iter().find(|one| std::ptr::eq(one.cell, *cell)) else { continue };
        let y = area.1 + start + ROW / 2.0;
        let each = one.sorted.len().div_ceil(DOTS).max(1);
        let ends = one.sorted.last().into_iter();
        let dots: Vec<Place> =
            one.sorted.iter().step_by(each).chain(ends).map(|&ns| (panel.px(rate(cell, ns)), y)).collect();
        figure.canvas.dots(&dots, 7.0, one.look.color, 0.45);
        if let Some(p50) = Percentile::P50.of(&one.sorted) {
            let (x, told) = (panel.px(rate(cell, p50)), speed(rate(cell, p50)));
            let hover = format!("{} {}: median {told}", size_name(cell.size_bytes), mode(cell));
            figure.canvas.rect((x - 1.3, y - ROW / 2.0 + 3.5, 2.6, ROW - 7.0), INK, 1.0, &hover);
        }
    }
}

fn by_size(figure: &mut Figure, area: Area, frames: &[Series<'_>]) {
    let mut sizes: Vec<u64> = frames.iter().map(|one| one.cell.size_bytes).collect();
    sizes.sort_unstable();
    sizes.dedup();
    let ticks = sizes.iter().enumerate().map(|(at, size)| Tick { value: at as f64, label: size_name(*size) }).collect();
    let x = Axis::new(Scale::Linear { low: -0.5, high: sizes.len() as f64 - 0.5 }, Unit::Count, "").named(ticks);
    let interval = |one: &Series<'_>| {
        let both = Percentile::P50.interval(&one.sorted)?;
        Some((rate(one.cell, both.high), rate(one.cell, both.low)))
    };
    let median = |one: &Series<'_>| Some(rate(one.cell, Percentile::P50.of(&one.sorted)?));
    let tops = frames.iter().flat_map(|one| [median(one), interval(one).map(|both| both.1)]).flatten();
    let y = Axis::new(Scale::from_zero(tops), Unit::Speed, "median with 95 % interval");
    let panel = Panel { area, heading: "by size".into(), x, y };
    panel.frame(&mut figure.canvas);
    let mut ways: Vec<_> = frames.iter().map(|one| (one.cell.host_wait, one.cell.guest_wait)).collect();
    ways.sort_unstable();
    ways.dedup();
    for (position, way) in ways.iter().enumerate() {
        let here: Vec<&Series<'_>> =
            frames.iter().filter(|one| (one.cell.host_wait, one.cell.guest_wait) == *way).collect();
        let aside = (position as f64 - (ways.len() as f64 - 1.0) / 2.0) * (0.5 / ways.len() as f64).min(0.12);
        let points: Vec<Point> = here
            .iter()
            .filter_map(|one| {
                let at = sizes.iter().position(|size| *size == one.cell.size_bytes)?;
                let hover = format!("{} {}: {}", size_name(one.cell.size_bytes), mode(one.cell), speed(median(one)?));
                Some(Point { x: at as f64 + aside, y: median(one)?, interval: interval(one), hover })
            })
            .collect();
        if let Some(one) = here.first() {
            curve::draw(figure, &panel, &points, one.look, Kind::MAIN);
        }
    }
}

fn over_time(figure: &mut Figure, area: Area, frames: &[Series<'_>]) {
    let longest = frames.iter().map(|one| one.sorted.len()).max().unwrap_or(1);
    let extremes = frames.iter().flat_map(|one| [one.sorted.first(), one.sorted.last()]).flatten();
    let panel = Panel {
        area: (area.0, area.1, area.2 - NAME_WIDE, area.3),
        heading: "duration in order".into(),
        x: Axis::new(
            Scale::Linear { low: 0.0, high: longest as f64 + 0.5 },
            Unit::Count,
            "number of the frame, per size and mode",
        ),
        y: Axis::new(Scale::log(extremes.map(|&ns| ns as f64), 1.0), Unit::Time, "end to end"),
    };
    panel.frame(&mut figure.canvas);
    let mut ends: Vec<(Place, u64)> = Vec::new();
    for one in frames {
        let samples: Vec<u64> = one.blocks.iter().flat_map(|block| block.samples.iter().copied()).collect();
        let each = samples.len().div_ceil(DOTS).max(1);
        // Of several that share a place the slowest: that is what one looks for here.
        let places: Vec<Place> = samples
            .chunks(each)
            .enumerate()
            .filter_map(|(at, chunk)| Some(panel.place((at * each + 1) as f64, *chunk.iter().max()? as f64)))
            .collect();
        figure.canvas.polyline(&places, Stroke::new(one.look.color, 1.4).dash(one.look.dash));
        figure.canvas.dots(&places, 5.0, one.look.color, 1.0);
        ends.extend(places.last().map(|&end| (end, one.cell.size_bytes)));
    }
    // Colour and marker tell the modes apart, so a size has one name: at the mean height of its lines' ends.
    let mut sizes: Vec<(f64, u64)> = Vec::new();
    for one in frames.iter().filter(|one| ends.iter().any(|(_, size)| *size == one.cell.size_bytes)) {
        if sizes.iter().all(|(_, size)| *size != one.cell.size_bytes) {
            let here = || ends.iter().filter(|(_, size)| *size == one.cell.size_bytes).map(|(end, _)| end.1);
            sizes.push((here().sum::<f64>() / here().count() as f64, one.cell.size_bytes));
        }
    }
    sizes.sort_by(|a, b| a.0.total_cmp(&b.0));
    let heights: Vec<f64> = sizes.iter().map(|(height, _)| *height).collect();
    for ((_, size), y) in sizes.iter().zip(apart(&heights, panel.bottom())) {
        figure.canvas.text((panel.right() + 10.0, y + 4.0), &size_name(*size), Type::new(11.0).color(INK));
    }
}

/// Ascending heights moved so far that names beside them do not overlap, and none lies below the lowest place as long as all
/// have room above it.
fn apart(heights: &[f64], lowest: f64) -> Vec<f64> {
    let mut moved = heights.to_vec();
    for at in 1..moved.len() {
        moved[at] = moved[at].max(moved[at - 1] + NAME_HIGH);
    }
    let mut limit = lowest;
    for height in moved.iter_mut().rev() {
        *height = height.min(limit);
        limit = *height - NAME_HIGH;
    }
    moved
}

fn success(figure: &mut Figure, area: Area, cells: &[&Cell], starts: &[f64]) {
    let x = Axis::new(Scale::Linear { low: 0.0, high: 1.0 }, Unit::Share, "share of verified frames");
    let panel = Panel { area, heading: "success".into(), x, y: unnamed("verified frames") };
    panel.frame(&mut figure.canvas);
    name_rows(&mut figure.canvas, &panel, cells, starts);
    for (cell, start) in cells.iter().zip(starts) {
        let (ok, all) = tries(cell);
        let share = if all > 0 { ok as f64 / all as f64 } else { 0.0 };
        let y = area.1 + start;
        let (from, to) = (panel.px(0.0), panel.px(share));
        let look = super::palette::look(cell.host_wait, cell.guest_wait);
        figure.canvas.rect((from, y + 2.0, to - from, ROW - 4.0), look.color, 0.3, &in_words(cell));
        figure.canvas.line((to, y + 2.0), (to, y + ROW - 2.0), Stroke::new(look.color, 2.0));
        let failed = all - ok;
        let told = if failed == 0 {
            format!("all {} ok", thousands(ok))
        } else {
            format!("{} of {} ok: {}", thousands(ok), thousands(all), failures(cell))
        };
        let how = Type::new(11.5).color(if failed == 0 { MUTED } else { INK });
        figure.canvas.text((from + 8.0, y + ROW / 2.0 + 4.0), &told, how.anchor(Anchor::Start));
    }
    figure.canvas.line((panel.area.0, area.1), (panel.area.0, panel.bottom()), Stroke::new(LIMIT, 1.0));
}

/// Frames that came through, and all that were tried.
fn tries(cell: &Cell) -> (u64, u64) {
    (cell.n, cell.n.saturating_add(cell.failed()))
}

fn failures(cell: &Cell) -> String {
    cell.failures.iter().map(|(status, n)| format!("{} {status}", thousands(*n))).collect::<Vec<_>>().join(", ")
}

fn in_words(cell: &Cell) -> String {
    let (ok, all) = tries(cell);
    let median = cell.latency_ns.as_ref().and_then(|latency| latency.p50);
    let told = median.map_or_else(
        || "no figure".to_owned(),
        |ns| format!("median {}, {}", duration(ns as f64), speed(rate(cell, ns))),
    );
    format!("{} {}: {told}; {} of {} ok.", size_name(cell.size_bytes), mode(cell), thousands(ok), thousands(all))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_at_the_ends_of_lines_that_meet_do_not_overlap() {
        assert_eq!(apart(&[10.0, 50.0], 100.0), [10.0, 50.0]);
        assert_eq!(apart(&[10.0, 10.0, 11.0], 100.0), [10.0, 23.0, 36.0]);
        assert_eq!(apart(&[98.0, 99.0, 100.0], 100.0), [74.0, 87.0, 100.0], "they go up where there is no room below");
    }
}
