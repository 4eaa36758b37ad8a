//! `storm`: interrupts and driver events per second by doorbells per second, without waiting for acknowledgement.

use super::canvas::Stroke;
use super::curve::{self, Kind, Point};
use super::data::{Data, mode, whole};
use super::figure::{Entry, Figure, MARGIN, Sign, WIDTH};
use super::palette::{LIMIT, MUTED, Marker, look};
use super::panel::{Axis, BELOW, LEFT, Panel};
use super::scale::{Scale, Unit};
use super::{Plot, layout};
use crate::result::{Cell, CellCounters};
use bench_model::Workload;
use bench_model::units::thousands;

const HIGH: f64 = 330.0;

/// A counter, its line, and its name.
type Kept = (fn(&CellCounters) -> Option<u64>, Kind, &'static str);

/// The ring of an event is wide enough for the mark of the interrupts within it: the two often coincide.
const KEPT: [Kept; 2] = [
    (|counters| counters.uio_events, Kind { scale: 1.9, ..Kind::SIDE }, "events"),
    (|counters| counters.interrupts, Kind::MAIN, "interrupts"),
];

/// The rate that a share of the rings makes.
fn rate(cell: &Cell, count: Option<u64>) -> Option<f64> {
    let rings = cell.counters.rings;
    let rate = cell.messages_per_second? * count? as f64 / rings.max(1) as f64;
    rate.is_finite().then_some(rate)
}

pub(crate) fn plot(data: &Data<'_>) -> Option<Plot> {
    let is_drawn = |cell: &&Cell| {
        cell.messages_per_second.is_some_and(|rate| rate.is_finite() && rate > 0.0)
            && KEPT.iter().any(|(count, _, _)| rate(cell, count(&cell.counters)).is_some())
    };
    let mut cells: Vec<&Cell> = data.cells(Workload::Storm).filter(is_drawn).collect();
    if cells.is_empty() {
        return None;
    }
    let mut figure = Figure::new("storm", "Interrupts per doorbell, without waiting for acknowledgement");
    let mut entries = layout::entries_of(cells.iter().copied());
    entries.push(Entry { sign: Sign::Line(Stroke::new(LIMIT, 1.4).dash("6 4")), label: "doorbells rung".into() });
    entries.push(Entry { sign: Sign::Point(Marker::Square, MUTED, true), label: "interrupts in the guest".into() });
    entries
        .push(Entry { sign: Sign::Point(Marker::Square, MUTED, false), label: "events reported by its driver".into() });
    figure.legend(entries);
    let rung = || cells.iter().filter_map(|cell| cell.messages_per_second);
    let seen = cells.iter().flat_map(|cell| KEPT.iter().filter_map(|(count, _, _)| rate(cell, count(&cell.counters))));
    let scale = Scale::log(rung(), 1.0);
    let panel = Panel {
        area: (MARGIN + LEFT - 8.0, figure.y + 22.0, WIDTH - 2.0 * MARGIN - LEFT + 8.0, HIGH),
        heading: String::new(),
        x: Axis::new(scale, Unit::Rate, "doorbells rung per second"),
        y: Axis::new(Scale::log(seen.chain(rung()), 0.1), Unit::Rate, "per second"),
    };
    panel.frame(&mut figure.canvas);
    if let Scale::Log { low, high } = scale {
        let diagonal = [panel.place(low, low), panel.place(high, high)];
        figure.canvas.polyline(&diagonal, Stroke::new(LIMIT, 1.4).dash("6 4"));
    }
    let mut ways: Vec<_> = cells.iter().map(|cell| (cell.host_wait, cell.guest_wait)).collect();
    ways.sort_unstable();
    ways.dedup();
    for (host, guest) in ways {
        for (count, kind, name) in KEPT {
            let mut points: Vec<Point> = cells
                .iter()
                .filter(|cell| (cell.host_wait, cell.guest_wait) == (host, guest))
                .filter_map(|cell| {
                    let kept = count(&cell.counters)?;
                    let hover = format!(
                        "{}: {} {name} of {} doorbells at {}",
                        mode(cell),
                        thousands(kept),
                        thousands(cell.counters.rings),
                        per_second(cell)
                    );
                    Some(Point { x: cell.messages_per_second?, y: rate(cell, Some(kept))?, interval: None, hover })
                })
                .collect();
            points.sort_by(|one, other| one.x.total_cmp(&other.x));
            curve::draw(&mut figure, &panel, &points, look(host, guest), kind);
        }
    }
    figure.y += 22.0 + HIGH + BELOW;
    cells.sort_by(|one, other| {
        one.messages_per_second.unwrap_or(0.0).total_cmp(&other.messages_per_second.unwrap_or(0.0))
    });
    let mut rings: Vec<u64> = cells.iter().map(|cell| cell.counters.rings).collect();
    rings.sort_unstable();
    rings.dedup();
    let rings: Vec<String> = rings.into_iter().map(thousands).collect();
    let caption = format!(
        "Dashed line: one interrupt per doorbell. Below it, doorbells are coalesced. Doorbells per point: {}.",
        rings.join(", ")
    );
    let alt = cells.iter().map(|cell| in_words(cell)).collect::<Vec<_>>().join(" ");
    Some(figure.finish(caption, data.place(), alt))
}

fn per_second(cell: &Cell) -> String {
    format!("{}/s", thousands(whole(cell.messages_per_second.unwrap_or(0.0).round())))
}

fn in_words(cell: &Cell) -> String {
    let known = |count: Option<u64>| count.map_or_else(|| "an unknown number of".to_owned(), thousands);
    let CellCounters { rings, interrupts, uio_events, .. } = &cell.counters;
    let speed = per_second(cell);
    format!(
        "{}: {} doorbells at {speed} made {} interrupts and {} events.",
        mode(cell),
        thousands(*rings),
        known(*interrupts),
        known(*uio_events)
    )
}
