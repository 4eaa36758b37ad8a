//! `legs`: the legs of a typical round trip as a waterfall per wait mode.

use super::Texts;
use super::draw::{Axis, AxisUnit, Chart, LIMIT, MARGIN, MUTED, Rect, Scale, Stroke, TextStyle, WIDTH};
use super::series::{PanelGroup, PlotData, described, middle_half, mode, style};
use crate::result::Cell;
use bench_model::samples::Row;
use bench_model::units::{duration, thousands};

/// Legs of a round trip in order. The last one, the ring, runs in parallel to the others.
const PARTS: usize = 5;
const ROW: f64 = 21.0;
/// Width of the leg labels.
const LABELS_WIDTH: f64 = 132.0;

/// The legs of a cell's typical operation, in nanoseconds.
struct Waterfall<'a> {
    cell: &'a Cell,
    heading: String,
    n: usize,
    /// Name, start and duration of each leg, in drawing order.
    rows: Vec<(&'static str, f64, f64)>,
    /// Without the ring.
    total: f64,
}

pub(super) fn draw(data: &PlotData<'_>, chart: &mut Chart) -> Option<Texts> {
    let groups = data.round_trips();
    let columns: Vec<Vec<Waterfall<'_>>> =
        groups.iter().map(|group| waterfalls(data, group)).filter(|column| !column.is_empty()).collect();
    if columns.is_empty() {
        return None;
    }
    let each = (WIDTH - 2.0 * MARGIN) / columns.len() as f64;
    let top = chart.y;
    let mut bottom = top;
    for (at, column) in columns.iter().enumerate() {
        let mut y = top;
        for waterfall in column {
            let left = MARGIN + each * at as f64 + LABELS_WIDTH;
            let right = MARGIN + each * (at + 1) as f64 - if at + 1 < columns.len() { 20.0 } else { 0.0 };
            y = panel(chart, waterfall, (left, y + 26.0, right - left, 0.0));
        }
        bottom = bottom.max(y);
    }
    chart.y = bottom;
    let all: Vec<&Waterfall<'_>> = columns.iter().flatten().collect();
    let n =
        all.iter().map(|waterfall| format!("{}: n\u{a0}=\u{a0}{}", waterfall.heading, thousands(waterfall.n as u64)));
    let caption = format!(
        "Means over the middle half of the operations; the legs add up to the round trip. ring runs in parallel to the legs after it; handle is the guest's work. Each mode has its own axis. Blocks with an unstable clock offset are left out. {}.",
        n.collect::<Vec<_>>().join("; ")
    );
    Some(Texts { caption, alt: described(&all, |waterfall| describe(waterfall)) })
}

fn waterfalls<'a>(data: &PlotData<'a>, group: &PanelGroup<'a>) -> Vec<Waterfall<'a>> {
    let of_cell = |cell: &'a Cell| waterfall(data, cell, &group.heading);
    let waterfall_of = |plain: &'a Cell| {
        // A guest that polls back to back does not stamp the detection. The fully stamped cell of the same mode does.
        let mut stamped = data.result.cells.iter().filter(|cell| {
            cell.conditions.full_stamps
                && (cell.workload, cell.size_bytes, cell.host_wait, cell.guest_wait)
                    == (plain.workload, plain.size_bytes, plain.host_wait, plain.guest_wait)
        });
        of_cell(plain).or_else(|| of_cell(stamped.next()?))
    };
    group.series.iter().filter_map(|series| waterfall_of(series.cell)).collect()
}

fn waterfall<'a>(data: &PlotData<'a>, cell: &'a Cell, heading: &str) -> Option<Waterfall<'a>> {
    let stable = data.run.blocks_of(cell.key()).filter(|block| block.measured.clock.is_stable());
    let rows: Vec<&Row> = stable.flat_map(|block| block.ok_rows()).collect();
    let detected = rows.iter().filter(|row| row.g1_ns.is_some());
    let (interrupted, total) = (detected.clone().filter(|row| row.g0_ns.is_some()).count(), detected.count());
    // With few interrupts (hybrid mode), the interrupted operations are not typical of the others.
    let has_handler = interrupted > 0 && interrupted * 10 >= total * 9;
    let operations: Vec<(u64, [f64; PARTS])> = rows.iter().filter_map(|row| parts(row, has_handler)).collect();
    let n = operations.len();
    let [to_guest, wake, guest, answer, ring] = middle_half(operations)?.map(|ns| ns.max(0.0));
    let mut rows = Vec::new();
    if ring > 0.0 {
        rows.push(("ring", 0.0, ring));
    }
    if has_handler {
        rows.extend([("inject", 0.0, to_guest), ("wake", to_guest, wake)]);
    } else {
        rows.push(("notify", 0.0, to_guest));
    }
    rows.push(("handle", to_guest + wake, guest));
    rows.push(("answer", to_guest + wake + guest, answer));
    let note = if cell.conditions.full_stamps { " (instrumented)" } else { "" };
    let heading = format!("{heading}, {}{note}", mode(cell));
    Some(Waterfall { cell, heading, n, rows, total: to_guest + wake + guest + answer })
}

fn parts(row: &Row, has_handler: bool) -> Option<(u64, [f64; PARTS])> {
    let (guest_knew, acked) = (row.g1_ns?, row.g5_ns?);
    let notify = row.notify_ns?;
    let wake = if has_handler { row.wake_ns? } else { 0 };
    let to_guest = if has_handler { row.inject_ns? } else { notify };
    let guest = acked.saturating_sub(guest_knew);
    let ring = row.ring_ns.unwrap_or(0);
    Some((row.rtt_ns?, [to_guest as f64, wake as f64, guest as f64, row.answer_ns? as f64, ring as f64]))
}

/// Draws one waterfall and returns the top of the next.
fn panel(chart: &mut Chart, waterfall: &Waterfall<'_>, (left, top, width, _): Rect) -> f64 {
    let Waterfall { cell, heading, rows, total, .. } = waterfall;
    let longest = rows.iter().map(|(_, from, long)| from + long).fold(1.0, f64::max);
    // Leave space for the text right of the last bar.
    let scale = Scale::Linear { low: 0.0, high: longest * (1.0 + 120.0 / (width - 120.0)) };
    let high = rows.len() as f64 * ROW + 6.0;
    let heading = format!("{heading}: {}", duration(*total));
    let x = Axis::new(scale, AxisUnit::Time, "");
    let axes = chart.axes((left, top, width, high), heading, x, Axis::unlabelled(""));
    let mut before: Option<f64> = None;
    for (at, (name, from, long)) in rows.iter().enumerate() {
        let y = top + 6.0 + at as f64 * ROW;
        let (x, end) = (axes.x_at(*from), axes.x_at(from + long));
        let share = if *total > 0.0 { long / total * 100.0 } else { 0.0 };
        let values = format!("{}, {share:.0} %", duration(*long));
        let hover = format!("{} {name}: {values}", mode(cell));
        // The ring runs in parallel to the other legs.
        let opacity = if *name == "ring" { 0.4 } else { 1.0 };
        let bar = (x, y, (end - x).max(1.2), ROW - 7.0);
        chart.svg.rect(bar, style(cell).color, opacity, &hover);
        if let Some(from_y) = before.filter(|_| *from > 0.0) {
            chart.svg.line((x, from_y), (x, y), Stroke::new(LIMIT, 0.8));
        }
        let baseline = y + ROW - 11.0;
        chart.svg.text((left - LABELS_WIDTH + 8.0, baseline), name, TextStyle::new(12.5));
        chart.svg.text((end.max(x + 1.2) + 7.0, baseline), &values, TextStyle::new(12.0).color(MUTED).halo());
        before = Some(y + ROW - 7.0);
    }
    top + high + 32.0
}

fn describe(waterfall: &Waterfall<'_>) -> String {
    let Waterfall { heading, rows, total, .. } = waterfall;
    let parts: Vec<String> = rows.iter().map(|(name, _, long)| format!("{name} {}", duration(*long))).collect();
    format!("{heading}, total {}: {}.", duration(*total), parts.join(", "))
}
