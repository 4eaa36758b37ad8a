//! `storm`: interrupts and driver events per second by doorbells per second, without waiting for acknowledgement.

use super::Texts;
use super::draw::{
    ABOVE_UNTITLED, Axis, AxisUnit, Chart, DataPoint, LegendEntry, LineStyle, Marker, Scale, Stroke, line,
};
use super::series::{PlotData, described, distinct, grouped, legend_of_cells, mode, style, waits};
use crate::result::{Cell, CellCounters};
use bench_model::Workload;
use bench_model::units::{rounded_thousands, thousands};

const HEIGHT: f64 = 330.0;

/// A counter, its line style and its name.
type CountLine = (fn(&CellCounters) -> Option<u64>, LineStyle, &'static str);

/// Hollow markers are large enough to enclose the filled ones: events and interrupts often coincide.
const COUNT_LINES: [CountLine; 2] = [
    (|counters| counters.uio_events, LineStyle { scale: 1.9, ..LineStyle::SIDE }, "events"),
    (|counters| counters.interrupts, LineStyle::MAIN, "interrupts"),
];

/// Events per second, from the ring rate and the ratio of events to rings.
fn rate(cell: &Cell, count: Option<u64>) -> Option<f64> {
    let rings = cell.counters.rings;
    let rate = cell.messages_per_second? * count? as f64 / rings.max(1) as f64;
    rate.is_finite().then_some(rate)
}

pub(super) fn draw(data: &PlotData<'_>, chart: &mut Chart) -> Option<Texts> {
    let is_drawn = |cell: &&Cell| {
        cell.messages_per_second.is_some_and(|rate| rate.is_finite() && rate > 0.0)
            && COUNT_LINES.iter().any(|(count, _, _)| rate(cell, count(&cell.counters)).is_some())
    };
    let mut cells: Vec<&Cell> = data.cells(Workload::Storm).filter(is_drawn).collect();
    if cells.is_empty() {
        return None;
    }
    let mut entries = legend_of_cells(cells.iter().copied());
    entries.push(LegendEntry::line(Stroke::DASHED, "doorbells rung"));
    entries.push(LegendEntry::point(Marker::Square, true, "interrupts in the guest"));
    entries.push(LegendEntry::point(Marker::Square, false, "events reported by its driver"));
    chart.legend(entries);
    let ring_rates = || cells.iter().filter_map(|cell| cell.messages_per_second);
    let event_rates =
        cells.iter().flat_map(|cell| COUNT_LINES.iter().filter_map(|(count, _, _)| rate(cell, count(&cell.counters))));
    let scale = Scale::log(ring_rates(), 1.0);
    let x = Axis::new(scale, AxisUnit::Rate, "doorbells rung per second");
    let y = Axis::new(Scale::log(event_rates.chain(ring_rates()), 0.1), AxisUnit::Rate, "per second");
    let area = chart.panel(ABOVE_UNTITLED, HEIGHT);
    let axes = chart.axes(area, "", x, y);
    if let Scale::Log { low, high } = scale {
        chart.svg.polyline(&[axes.point(low, low), axes.point(high, high)], Stroke::DASHED);
    }
    for cells in grouped(cells.iter().copied(), |cell| waits(cell)) {
        for (count, line_style, name) in COUNT_LINES {
            let point = |cell: &&Cell| {
                let events = count(&cell.counters)?;
                let (rung, speed) = (thousands(cell.counters.rings), per_second(cell));
                let hover = format!("{}: {} {name} of {rung} doorbells at {speed}", mode(cell), thousands(events));
                Some(DataPoint { x: cell.messages_per_second?, y: rate(cell, Some(events))?, interval: None, hover })
            };
            line::draw(chart, &axes, cells.iter().filter_map(point), style(cells[0]), line_style);
        }
    }
    cells.sort_by(|a, b| a.messages_per_second.unwrap_or(0.0).total_cmp(&b.messages_per_second.unwrap_or(0.0)));
    let rings: Vec<String> =
        distinct(cells.iter().map(|cell| cell.counters.rings)).into_iter().map(thousands).collect();
    let caption = format!(
        "Dashed line: one interrupt per doorbell. Below it, doorbells are coalesced. Doorbells per point: {}.",
        rings.join(", ")
    );
    Some(Texts { caption, alt: described(&cells, |cell| describe(cell)) })
}

fn per_second(cell: &Cell) -> String {
    format!("{}/s", rounded_thousands(cell.messages_per_second.unwrap_or(0.0)))
}

fn describe(cell: &Cell) -> String {
    let count = |count: Option<u64>| count.map_or_else(|| "unknown".to_owned(), thousands);
    let CellCounters { rings, interrupts, uio_events, .. } = &cell.counters;
    let speed = per_second(cell);
    format!(
        "{}: {} doorbells at {speed}; interrupts: {}, events: {}.",
        mode(cell),
        thousands(*rings),
        count(*interrupts),
        count(*uio_events)
    )
}
