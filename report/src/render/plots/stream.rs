//! `stream`: bytes and messages per second through a ring of slots, against the size of a message.

use super::Plot;
use super::draw::axes::{ABOVE, Axes, Axis, BELOW, side_by_side};
use super::draw::chart::{Chart, LegendEntry, LegendSymbol};
use super::draw::line::{self, DataPoint, LineStyle};
use super::draw::palette::{MUTED, Marker, series_style};
use super::draw::scale::{AxisUnit, Scale, Tick};
use super::series::{PlotData, count_range, legend_of_cells, mode};
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

pub(crate) fn plot(data: &PlotData<'_>) -> Option<Plot> {
    let is_drawn = |cell: &&Cell| {
        cell.size_bytes > 0
            && RATES.iter().all(|(rate_of, _, _)| rate_of(cell).is_some_and(|rate| rate.is_finite() && rate > 0.0))
    };
    let cells: Vec<&Cell> = data.cells(Workload::Stream).filter(is_drawn).collect();
    if cells.is_empty() {
        return None;
    }
    let mut chart = Chart::new("stream", "Throughput of a stream");
    chart.legend(entries(&cells));
    // The headings name the y axes, so the space for their titles is not needed.
    chart.y -= 14.0;
    let mut sizes: Vec<u64> = cells.iter().map(|cell| cell.size_bytes).collect();
    sizes.sort_unstable();
    sizes.dedup();
    let ticks: Vec<Tick> = sizes.iter().map(|bytes| Tick { value: *bytes as f64, label: size_name(*bytes) }).collect();
    let x = Axis::new(Scale::log(sizes.iter().map(|bytes| *bytes as f64), 1.0), AxisUnit::Size, "size of a message")
        .named(ticks);
    for ((rate, unit, title), area) in RATES.into_iter().zip(side_by_side(chart.y + ABOVE, HEIGHT, 2)) {
        let y = Axis::new(Scale::log(cells.iter().filter_map(|cell| rate(cell)), 1.0), unit, "");
        let axes = Axes { area, heading: title.to_owned(), x: x.clone(), y };
        axes.draw(&mut chart.svg);
        lines(&mut chart, &axes, &cells, rate);
    }
    chart.y += ABOVE + HEIGHT + BELOW;
    let messages = cells.iter().filter_map(|cell| cell.traffic.as_ref()).map(|traffic| traffic.seen);
    let caption = format!(
        "The sender rings only an armed receiver, or for every message where noted. Messages: {}.",
        count_range(messages)
    );
    let alt = cells.iter().map(|cell| describe(cell)).collect::<Vec<_>>().join(" ");
    Some(chart.finish(caption, data.environment(), alt))
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
    let mut slots: Vec<u32> = cells.iter().filter_map(|cell| cell.conditions.slots).collect();
    slots.sort_unstable();
    slots.dedup();
    for few in slots.iter().rev().take(3) {
        let symbol = LegendSymbol::Point(Marker::Circle, MUTED, Some(*few) == max_slots);
        entries.push(LegendEntry { symbol, label: plural((*few).into(), "slot") });
    }
    if cells.iter().any(|cell| cell.conditions.always_ring) {
        let stroke = super::draw::svg::Stroke::new(MUTED, LineStyle::SIDE.width).dash("2 3");
        entries.push(LegendEntry { symbol: LegendSymbol::Line(stroke), label: "doorbell for every message".into() });
    }
    entries
}

fn lines(chart: &mut Chart, axes: &Axes, cells: &[&Cell], rate: fn(&Cell) -> Option<f64>) {
    let max_slots = most_slots(cells);
    let key = |cell: &Cell| (cell.host_wait, cell.guest_wait, cell.conditions.always_ring, cell.conditions.slots);
    let mut keys: Vec<_> = cells.iter().map(|cell| key(cell)).collect();
    keys.sort_unstable();
    keys.dedup();
    for line_key in keys {
        let mut line: Vec<&Cell> = cells.iter().copied().filter(|cell| key(cell) == line_key).collect();
        line.sort_by_key(|cell| cell.size_bytes);
        let points: Vec<DataPoint> = line
            .iter()
            .filter_map(|cell| {
                Some(DataPoint { x: cell.size_bytes as f64, y: rate(cell)?, interval: None, hover: describe(cell) })
            })
            .collect();
        if let Some(cell) = line.first() {
            line::draw(
                chart,
                axes,
                &points,
                series_style(cell.host_wait, cell.guest_wait),
                line_style(cell, max_slots),
            );
        }
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
