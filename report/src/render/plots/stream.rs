//! `stream`: bytes and messages per second through a ring of slots, against the size of a message.

use super::curve::{self, Kind, Point};
use super::data::{Data, count_range, mode, whole};
use super::figure::{Entry, Figure, Sign};
use super::palette::{MUTED, Marker, look};
use super::panel::{ABOVE, Axis, BELOW, Panel};
use super::scale::{Scale, Tick, Unit};
use super::{Plot, layout};
use crate::result::Cell;
use bench_model::Workload;
use bench_model::units::size_name;
use bench_model::units::{plural, speed, thousands};

const HIGH: f64 = 290.0;

/// A measure of a stream, its unit and its name.
type Measure = (fn(&Cell) -> Option<f64>, Unit, &'static str);

const MEASURES: [Measure; 2] = [
    (|cell| cell.bytes_per_second, Unit::Speed, "bytes per second"),
    (|cell| cell.messages_per_second, Unit::Rate, "messages per second"),
];

pub(crate) fn plot(data: &Data<'_>) -> Option<Plot> {
    let is_drawn = |cell: &&Cell| {
        cell.size_bytes > 0
            && MEASURES.iter().all(|(of, _, _)| of(cell).is_some_and(|rate| rate.is_finite() && rate > 0.0))
    };
    let cells: Vec<&Cell> = data.cells(Workload::Stream).filter(is_drawn).collect();
    if cells.is_empty() {
        return None;
    }
    let mut figure = Figure::new("stream", "Throughput of a stream");
    figure.legend(entries(&cells));
    // The headings say what the y axes are, so that there is no second line above the panels.
    figure.y -= 14.0;
    let mut sizes: Vec<u64> = cells.iter().map(|cell| cell.size_bytes).collect();
    sizes.sort_unstable();
    sizes.dedup();
    let ticks: Vec<Tick> = sizes.iter().map(|bytes| Tick { value: *bytes as f64, label: size_name(*bytes) }).collect();
    let x = Axis::new(Scale::log(sizes.iter().map(|bytes| *bytes as f64), 1.0), Unit::Size, "size of a message")
        .named(ticks);
    for ((of, unit, title), area) in MEASURES.into_iter().zip(layout::side_by_side(figure.y + ABOVE, HIGH, 2)) {
        let y = Axis::new(Scale::log(cells.iter().filter_map(|cell| of(cell)), 1.0), unit, "");
        let panel = Panel { area, heading: title.to_owned(), x: x.clone(), y };
        panel.frame(&mut figure.canvas);
        lines(&mut figure, &panel, &cells, of);
    }
    figure.y += ABOVE + HIGH + BELOW;
    let seen = cells.iter().filter_map(|cell| cell.traffic.as_ref()).map(|traffic| traffic.seen);
    let caption = format!(
        "The sender rings only an armed receiver, or for every message where noted. Messages: {}.",
        count_range(seen)
    );
    let alt = cells.iter().map(|cell| in_words(cell)).collect::<Vec<_>>().join(" ");
    Some(figure.finish(caption, data.place(), alt))
}

/// What tells lines of one way to wait apart: rings of few slots have rims, doorbells for every message dots.
fn kind(cell: &Cell, most_slots: Option<u32>) -> Kind {
    let filled = cell.conditions.slots == most_slots;
    if cell.conditions.always_ring { Kind { filled, ..Kind::SIDE } } else { Kind { filled, ..Kind::MAIN } }
}

fn most_slots(cells: &[&Cell]) -> Option<u32> {
    cells.iter().filter_map(|cell| cell.conditions.slots).max()
}

fn entries(cells: &[&Cell]) -> Vec<Entry> {
    let mut entries = layout::entries_of(cells.iter().copied());
    let most = most_slots(cells);
    let mut slots: Vec<u32> = cells.iter().filter_map(|cell| cell.conditions.slots).collect();
    slots.sort_unstable();
    slots.dedup();
    for few in slots.iter().rev().take(3) {
        let sign = Sign::Point(Marker::Circle, MUTED, Some(*few) == most);
        entries.push(Entry { sign, label: plural((*few).into(), "slot") });
    }
    if cells.iter().any(|cell| cell.conditions.always_ring) {
        let stroke = super::canvas::Stroke::new(MUTED, Kind::SIDE.width).dash("2 3");
        entries.push(Entry { sign: Sign::Line(stroke), label: "doorbell for every message".into() });
    }
    entries
}

fn lines(figure: &mut Figure, panel: &Panel, cells: &[&Cell], of: fn(&Cell) -> Option<f64>) {
    let most = most_slots(cells);
    let key = |cell: &Cell| (cell.host_wait, cell.guest_wait, cell.conditions.always_ring, cell.conditions.slots);
    let mut keys: Vec<_> = cells.iter().map(|cell| key(cell)).collect();
    keys.sort_unstable();
    keys.dedup();
    for wanted in keys {
        let mut here: Vec<&Cell> = cells.iter().copied().filter(|cell| key(cell) == wanted).collect();
        here.sort_by_key(|cell| cell.size_bytes);
        let points: Vec<Point> = here
            .iter()
            .filter_map(|cell| {
                Some(Point { x: cell.size_bytes as f64, y: of(cell)?, interval: None, hover: in_words(cell) })
            })
            .collect();
        if let Some(cell) = here.first() {
            curve::draw(figure, panel, &points, look(cell.host_wait, cell.guest_wait), kind(cell, most));
        }
    }
}

fn in_words(cell: &Cell) -> String {
    format!(
        "{}, {}, {}: {}, {} messages per second.",
        mode(cell),
        size_name(cell.size_bytes),
        cell.conditions,
        speed(cell.bytes_per_second.unwrap_or(0.0)),
        thousands(whole(cell.messages_per_second.unwrap_or(0.0).round()))
    )
}
