//! `legs`: where the time of an ordinary round trip goes, as a waterfall per way to wait.

use super::Plot;
use super::canvas::{Area, Stroke, Type};
use super::data::{Data, Question, middle_half, mode};
use super::figure::{Figure, MARGIN, WIDTH};
use super::palette::{LIMIT, Look, MUTED};
use super::panel::{Axis, Panel};
use super::scale::{Scale, Tick, Unit};
use crate::result::Cell;
use bench_model::samples::Row;
use bench_model::units::{duration, thousands};

/// The parts of a round trip, in their order; the ring goes on beside the others.
const PARTS: usize = 5;
const RING: usize = 4;
const ROW: f64 = 21.0;
/// Room for the names of the parts.
const NAMES: f64 = 132.0;

/// What a cell's ordinary operation is made of, in nanoseconds.
struct Waterfall<'a> {
    cell: &'a Cell,
    look: Look,
    heading: String,
    /// Whether the interrupt handler stamped, so that the way to the guest is in two parts.
    has_handler: bool,
    parts: [f64; PARTS],
    n: usize,
}

pub(crate) fn plot(data: &Data<'_>) -> Option<Plot> {
    let questions = data.round_trips();
    let columns: Vec<Vec<Waterfall<'_>>> =
        questions.iter().map(|question| waterfalls(data, question)).filter(|column| !column.is_empty()).collect();
    if columns.is_empty() {
        return None;
    }
    let mut figure = Figure::new("legs", "Legs of a round trip");
    let each = (WIDTH - 2.0 * MARGIN) / columns.len() as f64;
    let top = figure.y;
    let mut bottom = top;
    for (at, column) in columns.iter().enumerate() {
        let mut y = top;
        for waterfall in column {
            let left = MARGIN + each * at as f64 + NAMES;
            let right = MARGIN + each * (at + 1) as f64 - if at + 1 < columns.len() { 20.0 } else { 0.0 };
            y = draw(&mut figure, waterfall, (left, y + 26.0, right - left, 0.0));
        }
        bottom = bottom.max(y);
    }
    figure.y = bottom;
    let all = || columns.iter().flatten();
    let n = all().map(|waterfall| format!("{}: n\u{a0}=\u{a0}{}", waterfall.heading, thousands(waterfall.n as u64)));
    let caption = format!(
        "Means over the middle half of the operations; the legs add up to the round trip. ring runs in parallel to the legs after it; handle is the guest's work. Each mode has its own axis. Blocks with an unstable clock offset are left out. {}.",
        n.collect::<Vec<_>>().join("; ")
    );
    let alt = all().map(in_words).collect::<Vec<_>>().join(" ");
    Some(figure.finish(caption, data.place(), alt))
}

fn waterfalls<'a>(data: &Data<'a>, question: &Question<'a>) -> Vec<Waterfall<'a>> {
    let of = |cell: &'a Cell| waterfall(data, cell, &question.heading);
    let one = |plain: &'a Cell| {
        // A guest that polls back to back does not stamp when it knew; the same with every stamp tells.
        let mut stamped = data.result.cells.iter().filter(|cell| {
            cell.conditions.full_stamps
                && (cell.workload, cell.size_bytes, cell.host_wait, cell.guest_wait)
                    == (plain.workload, plain.size_bytes, plain.host_wait, plain.guest_wait)
        });
        of(plain).or_else(|| of(stamped.next()?))
    };
    question.series.iter().filter_map(|series| one(series.cell)).collect()
}

fn waterfall<'a>(data: &Data<'a>, cell: &'a Cell, heading: &str) -> Option<Waterfall<'a>> {
    let stable = data.run.blocks_of(cell).filter(|block| block.measured.clock.is_stable());
    let rows: Vec<&Row> = stable.flat_map(|block| block.ok_rows()).collect();
    let knew = rows.iter().filter(|row| row.g1_ns.is_some());
    let (by_interrupt, all) = (knew.clone().filter(|row| row.g0_ns.is_some()).count(), knew.count());
    // Where hardly any took an interrupt, as of one that spins first, those few say nothing of the others.
    let has_handler = by_interrupt > 0 && by_interrupt * 10 >= all * 9;
    let operations: Vec<(u64, [f64; PARTS])> = rows.iter().filter_map(|row| parts(row, has_handler)).collect();
    let n = operations.len();
    let note = if cell.conditions.full_stamps { " (instrumented)" } else { "" };
    Some(Waterfall {
        cell,
        look: super::palette::look(cell.host_wait, cell.guest_wait),
        heading: format!("{heading}, {}{note}", mode(cell)),
        has_handler,
        parts: middle_half(operations)?,
        n,
    })
}

fn parts(row: &Row, has_handler: bool) -> Option<(u64, [f64; PARTS])> {
    let (guest_knew, answered) = (row.g1_ns?, row.g5_ns?);
    let notify = row.notify_ns?;
    let wake = if has_handler { row.wake_ns? } else { 0 };
    let to_guest = if has_handler { row.inject_ns? } else { notify };
    let guest = answered.saturating_sub(guest_knew);
    let ring = row.ring_ns.unwrap_or(0);
    Some((row.rtt_ns?, [to_guest as f64, wake as f64, guest as f64, row.answer_ns? as f64, ring as f64]))
}

/// The parts' names and figures, in the order of the drawing.
fn told(waterfall: &Waterfall<'_>) -> Vec<(&'static str, f64, f64)> {
    let [to_guest, wake, guest, answer, ring] = waterfall.parts.map(|ns| ns.max(0.0));
    let mut told = Vec::new();
    if waterfall.parts[RING] > 0.0 {
        told.push(("ring", 0.0, ring));
    }
    if waterfall.has_handler {
        told.push(("inject", 0.0, to_guest));
        told.push(("wake", to_guest, wake));
    } else {
        told.push(("notify", 0.0, to_guest));
    }
    told.push(("handle", to_guest + wake, guest));
    told.push(("answer", to_guest + wake + guest, answer));
    told
}

fn total(waterfall: &Waterfall<'_>) -> f64 {
    waterfall.parts[..RING].iter().map(|ns| ns.max(0.0)).sum()
}

/// Draws one and returns where the next may begin.
fn draw(figure: &mut Figure, waterfall: &Waterfall<'_>, (left, top, wide, _): Area) -> f64 {
    let rows = told(waterfall);
    let total = total(waterfall);
    let longest = rows.iter().map(|(_, from, long)| from + long).fold(1.0, f64::max);
    // Room for the figures at the right of the last bar.
    let scale = Scale::Linear { low: 0.0, high: longest * (1.0 + 120.0 / (wide - 120.0)) };
    let high = rows.len() as f64 * ROW + 6.0;
    let no_names = Axis::new(Scale::Linear { low: 0.0, high: 1.0 }, Unit::Count, "").named(Vec::<Tick>::new());
    let panel = Panel {
        area: (left, top, wide, high),
        heading: format!("{}: {}", waterfall.heading, duration(total)),
        x: Axis::new(scale, Unit::Time, ""),
        y: no_names,
    };
    panel.frame(&mut figure.canvas);
    let mut before: Option<f64> = None;
    for (at, (name, from, long)) in rows.iter().enumerate() {
        let y = top + 6.0 + at as f64 * ROW;
        let (x, end) = (panel.px(*from), panel.px(from + long));
        let is_beside = *name == "ring";
        let share = if total > 0.0 { long / total * 100.0 } else { 0.0 };
        let figures = format!("{}, {share:.0} %", duration(*long));
        let hover = format!("{} {name}: {figures}", mode(waterfall.cell));
        let opacity = if is_beside { 0.4 } else { 1.0 };
        let bar = (x, y, (end - x).max(1.2), ROW - 7.0);
        figure.canvas.rect(bar, waterfall.look.color, opacity, &hover);
        if let Some(from_y) = before.filter(|_| *from > 0.0) {
            figure.canvas.line((x, from_y), (x, y), Stroke::new(LIMIT, 0.8));
        }
        let baseline = y + ROW - 11.0;
        figure.canvas.text((left - NAMES + 8.0, baseline), name, Type::new(12.5));
        figure.canvas.text((end.max(x + 1.2) + 7.0, baseline), &figures, Type::new(12.0).color(MUTED).halo());
        before = Some(y + ROW - 7.0);
    }
    top + high + 32.0
}

fn in_words(waterfall: &Waterfall<'_>) -> String {
    let parts: Vec<String> =
        told(waterfall).iter().map(|(name, _, long)| format!("{name} {}", duration(*long))).collect();
    format!("{}, {} in all: {}.", waterfall.heading, duration(total(waterfall)), parts.join(", "))
}
