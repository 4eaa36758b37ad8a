//! `storm`: interrupts and driver events per second by doorbells per second, without waiting for acknowledgement.

use super::Plot;
use super::draw::axes::{Axes, Axis, BELOW, LEFT};
use super::draw::chart::{Chart, LegendEntry, LegendSymbol, MARGIN, WIDTH};
use super::draw::line::{self, DataPoint, LineStyle};
use super::draw::palette::{LIMIT, MUTED, Marker, series_style};
use super::draw::scale::{AxisUnit, Scale};
use super::draw::svg::Stroke;
use super::series::{PlotData, legend_of_cells, mode};
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

pub(crate) fn plot(data: &PlotData<'_>) -> Option<Plot> {
    let is_drawn = |cell: &&Cell| {
        cell.messages_per_second.is_some_and(|rate| rate.is_finite() && rate > 0.0)
            && COUNT_LINES.iter().any(|(count, _, _)| rate(cell, count(&cell.counters)).is_some())
    };
    let mut cells: Vec<&Cell> = data.cells(Workload::Storm).filter(is_drawn).collect();
    if cells.is_empty() {
        return None;
    }
    let mut chart = Chart::new("storm", "Interrupts per doorbell, without waiting for acknowledgement");
    let mut entries = legend_of_cells(cells.iter().copied());
    entries.push(LegendEntry {
        symbol: LegendSymbol::Line(Stroke::new(LIMIT, 1.4).dash("6 4")),
        label: "doorbells rung".into(),
    });
    entries.push(LegendEntry {
        symbol: LegendSymbol::Point(Marker::Square, MUTED, true),
        label: "interrupts in the guest".into(),
    });
    entries.push(LegendEntry {
        symbol: LegendSymbol::Point(Marker::Square, MUTED, false),
        label: "events reported by its driver".into(),
    });
    chart.legend(entries);
    let ring_rates = || cells.iter().filter_map(|cell| cell.messages_per_second);
    let event_rates =
        cells.iter().flat_map(|cell| COUNT_LINES.iter().filter_map(|(count, _, _)| rate(cell, count(&cell.counters))));
    let scale = Scale::log(ring_rates(), 1.0);
    let axes = Axes {
        area: (MARGIN + LEFT - 8.0, chart.y + 22.0, WIDTH - 2.0 * MARGIN - LEFT + 8.0, HEIGHT),
        heading: String::new(),
        x: Axis::new(scale, AxisUnit::Rate, "doorbells rung per second"),
        y: Axis::new(Scale::log(event_rates.chain(ring_rates()), 0.1), AxisUnit::Rate, "per second"),
    };
    axes.draw(&mut chart.svg);
    if let Scale::Log { low, high } = scale {
        let diagonal = [axes.point(low, low), axes.point(high, high)];
        chart.svg.polyline(&diagonal, Stroke::new(LIMIT, 1.4).dash("6 4"));
    }
    let mut modes: Vec<_> = cells.iter().map(|cell| (cell.host_wait, cell.guest_wait)).collect();
    modes.sort_unstable();
    modes.dedup();
    for (host, guest) in modes {
        for (count, line_style, name) in COUNT_LINES {
            let mut points: Vec<DataPoint> = cells
                .iter()
                .filter(|cell| (cell.host_wait, cell.guest_wait) == (host, guest))
                .filter_map(|cell| {
                    let events = count(&cell.counters)?;
                    let hover = format!(
                        "{}: {} {name} of {} doorbells at {}",
                        mode(cell),
                        thousands(events),
                        thousands(cell.counters.rings),
                        per_second(cell)
                    );
                    Some(DataPoint {
                        x: cell.messages_per_second?,
                        y: rate(cell, Some(events))?,
                        interval: None,
                        hover,
                    })
                })
                .collect();
            points.sort_by(|a, b| a.x.total_cmp(&b.x));
            line::draw(&mut chart, &axes, &points, series_style(host, guest), line_style);
        }
    }
    chart.y += 22.0 + HEIGHT + BELOW;
    cells.sort_by(|a, b| a.messages_per_second.unwrap_or(0.0).total_cmp(&b.messages_per_second.unwrap_or(0.0)));
    let mut rings: Vec<u64> = cells.iter().map(|cell| cell.counters.rings).collect();
    rings.sort_unstable();
    rings.dedup();
    let rings: Vec<String> = rings.into_iter().map(thousands).collect();
    let caption = format!(
        "Dashed line: one interrupt per doorbell. Below it, doorbells are coalesced. Doorbells per point: {}.",
        rings.join(", ")
    );
    let alt = cells.iter().map(|cell| describe(cell)).collect::<Vec<_>>().join(" ");
    Some(chart.finish(caption, data.environment(), alt))
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
