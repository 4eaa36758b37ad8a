//! `stream`: bytes and messages per second through a ring of slots, against the size of a message.

use super::Texts;
use super::draw::{
    ABOVE, Axes, Axis, AxisUnit, Chart, DataPoint, LegendEntry, LineStyle, MUTED, Marker, Scale, Stroke, Tick, line,
};
use super::series::{PlotData, count_range, described, distinct, grouped, legend_of_cells, mode, style, waits};
use crate::result::Cell;
use bench_model::Workload;
use bench_model::units::{plural, rounded_thousands, size_name, speed};

const HEIGHT: f64 = 290.0;

/// A rate, its unit and its title.
type Rate = (fn(&Cell) -> Option<f64>, AxisUnit, &'static str);

const RATES: [Rate; 2] = [
    (|cell| cell.bytes_per_second, AxisUnit::Speed, "bytes per second"),
    (|cell| cell.messages_per_second, AxisUnit::Rate, "messages per second"),
];

pub(super) fn draw(data: &PlotData<'_>, chart: &mut Chart) -> Option<Texts> {
    let is_drawn = |cell: &&Cell| {
        cell.size_bytes > 0
            && RATES.iter().all(|(rate_of, _, _)| rate_of(cell).is_some_and(|rate| rate.is_finite() && rate > 0.0))
    };
    let cells: Vec<&Cell> = data.cells(Workload::Stream).filter(is_drawn).collect();
    if cells.is_empty() {
        return None;
    }
    chart.legend(entries(&cells));
    // The headings name the y axes, so the space for their titles is not needed.
    chart.y -= 14.0;
    let sizes = distinct(cells.iter().map(|cell| cell.size_bytes));
    let ticks: Vec<Tick> = sizes.iter().map(|bytes| Tick { value: *bytes as f64, label: size_name(*bytes) }).collect();
    let scale = Scale::log(sizes.iter().map(|bytes| *bytes as f64), 1.0);
    let x = Axis::new(scale, AxisUnit::Size, "size of a message").named(ticks);
    for ((rate, unit, title), area) in RATES.into_iter().zip(chart.panels(ABOVE, HEIGHT, 2)) {
        let y = Axis::new(Scale::log(cells.iter().filter_map(|cell| rate(cell)), 1.0), unit, "");
        let axes = chart.axes(area, title, x.clone(), y);
        lines(chart, &axes, &cells, rate);
    }
    let messages = cells.iter().filter_map(|cell| cell.traffic.as_ref()).map(|traffic| traffic.seen);
    let caption = format!(
        "The sender rings only an armed receiver, or for every message where noted. Messages: {}.",
        count_range(messages)
    );
    Some(Texts { caption, alt: described(&cells, |cell| describe(cell)) })
}

/// Distinguishes the lines of one mode: hollow markers for fewer slots, dotted lines for a doorbell per message.
fn line_style(cell: &Cell, most_slots: Option<u32>) -> LineStyle {
    let filled = cell.conditions.slots == most_slots;
    if cell.conditions.always_ring {
        LineStyle { filled, ..LineStyle::SIDE }
    } else {
        LineStyle { filled, ..LineStyle::MAIN }
    }
}

fn most_slots(cells: &[&Cell]) -> Option<u32> {
    cells.iter().filter_map(|cell| cell.conditions.slots).max()
}

fn entries(cells: &[&Cell]) -> Vec<LegendEntry> {
    let mut entries = legend_of_cells(cells.iter().copied());
    let max_slots = most_slots(cells);
    let slots = distinct(cells.iter().filter_map(|cell| cell.conditions.slots));
    for few in slots.into_iter().rev().take(3) {
        entries.push(LegendEntry::point(Marker::Circle, Some(few) == max_slots, plural(few.into(), "slot")));
    }
    if cells.iter().any(|cell| cell.conditions.always_ring) {
        let stroke = Stroke::new(MUTED, LineStyle::SIDE.width).dash("2 3");
        entries.push(LegendEntry::line(stroke, "doorbell for every message"));
    }
    entries
}

fn lines(chart: &mut Chart, axes: &Axes, cells: &[&Cell], rate: fn(&Cell) -> Option<f64>) {
    let max_slots = most_slots(cells);
    let key = |cell: &&Cell| (waits(cell), cell.conditions.always_ring, cell.conditions.slots);
    for line in grouped(cells.iter().copied(), key) {
        let point = |cell: &&Cell| {
            Some(DataPoint { x: cell.size_bytes as f64, y: rate(cell)?, interval: None, hover: describe(cell) })
        };
        line::draw(chart, axes, line.iter().filter_map(point), style(line[0]), line_style(line[0], max_slots));
    }
}

fn describe(cell: &Cell) -> String {
    format!(
        "{}, {}, {}: {}, {} messages per second.",
        mode(cell),
        size_name(cell.size_bytes),
        cell.conditions,
        speed(cell.bytes_per_second.unwrap_or(0.0)),
        rounded_thousands(cell.messages_per_second.unwrap_or(0.0))
    )
}
