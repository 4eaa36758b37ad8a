//! `frame_phases`: how long a frame is written, announced, read and verified, and how long copying it must take at
//! least on this machine.

use super::Plot;
use super::canvas::{Area, Stroke, Type};
use super::data::{Data, Series, middle_half, mode};
use super::figure::{Entry, Figure, MARGIN, Sign, WIDTH};
use super::frames::{NAMES, ROW, name_rows, rows, series};
use super::palette::{INK, MUTED, NOTIFY, READ, VERIFY, WRITE};
use super::panel::{Axis, BELOW, Panel};
use super::scale::{Scale, Tick, Unit};
use crate::result::Cell;
use bench_model::raw::PeakBandwidths;
use bench_model::units::duration;
use bench_model::units::size_name;

const PHASES: [(&str, &str); 4] = [("write", WRITE), ("notify", NOTIFY), ("read", READ), ("verify (SHA-256)", VERIFY)];
/// Above a panel with a heading alone.
const HEADING: f64 = 30.0;

struct Frame<'a> {
    series: Series<'a>,
    /// Nanoseconds per phase.
    phases: [f64; 4],
    /// The time that copying takes at least: the host's write and the guest's read.
    copy_ns: Option<f64>,
}

pub(crate) fn plot(data: &Data<'_>) -> Option<Plot> {
    let frames: Vec<Frame<'_>> = series(data).into_iter().filter_map(|series| frame(data, series)).collect();
    if frames.is_empty() {
        return None;
    }
    let mut figure = Figure::new("frame_phases", "Phases of a frame");
    let mut entries: Vec<Entry> =
        PHASES.iter().map(|(name, color)| Entry { sign: Sign::Area(color, 1.0), label: (*name).to_owned() }).collect();
    if frames.iter().any(|frame| frame.copy_ns.is_some()) {
        let sign = Sign::Line(Stroke::new(INK, 2.0));
        entries.push(Entry { sign, label: "copies only, at peak bandwidth: host to region, region to guest".into() });
    }
    figure.legend(entries);
    let cells: Vec<&Cell> = frames.iter().map(|frame| frame.series.cell).collect();
    let (starts, high) = rows(&cells);
    let top = figure.y + HEADING;
    let half = (WIDTH - 2.0 * MARGIN - NAMES - 40.0) / 2.0;
    let left = MARGIN + NAMES;
    let all_phases: Area = (left, top, half, high);
    let copies: Area = (left + half + 40.0, top, half, high);
    stacked(&mut figure, "all phases", all_phases, &frames, &starts, 4);
    stacked(&mut figure, "without verify", copies, &frames, &starts, 3);
    let panel = panel("", all_phases, 1.0);
    name_rows(&mut figure.canvas, &panel, &cells, &starts);
    figure.y = top + high + BELOW;
    let told = super::data::counts(frames.iter().map(|frame| (frame.series.cell, frame.series.sorted.len())));
    let caption = format!(
        "Means over the middle half of the frames; the phases add up. Line: least time of the two copies at the peak bandwidth of the same run, nearest size. {told}.",
    );
    let alt = frames.iter().map(in_words).collect::<Vec<_>>().join(" ");
    Some(figure.finish(caption, data.place(), alt))
}

fn frame<'a>(data: &Data<'a>, series: Series<'a>) -> Option<Frame<'a>> {
    let stable = data.run.blocks_of(series.cell).filter(|block| block.measured.clock.is_stable());
    let operations: Vec<(u64, [f64; 4])> = stable
        .flat_map(|block| block.ok_rows())
        .filter_map(|row| {
            let phases = [row.write_ns? as f64, row.notify_ns? as f64, row.read_ns? as f64, row.verify_ns? as f64];
            Some((row.end_to_end_ns?, phases.map(|ns| ns.max(0.0))))
        })
        .collect();
    let phases = middle_half(operations)?;
    let copy_ns = copy_ns(&data.result.ceilings, series.cell.size_bytes);
    Some(Frame { series, phases, copy_ns })
}

/// Writing into the region and reading out of it at the speeds of the nearest measured size.
fn copy_ns(ceilings: &[PeakBandwidths], bytes: u64) -> Option<f64> {
    let away = |ceiling: &&PeakBandwidths| (ceiling.size_bytes.max(1) as f64 / bytes.max(1) as f64).ln().abs();
    let nearest = ceilings.iter().min_by(|one, other| away(one).total_cmp(&away(other)))?;
    let ns = bytes as f64 * 1e9 * (1.0 / nearest.host.heap_to_region + 1.0 / nearest.guest.region_to_heap);
    (ns.is_finite() && ns > 0.0).then_some(ns)
}

fn panel(heading: &str, area: Area, longest: f64) -> Panel {
    let no_names = Axis::new(Scale::Linear { low: 0.0, high: 1.0 }, Unit::Count, "").named(Vec::<Tick>::new());
    let x = Axis::new(Scale::from_zero([longest * 1.14]), Unit::Time, "time per frame");
    Panel { area, heading: heading.to_owned(), x, y: no_names }
}

fn stacked(figure: &mut Figure, heading: &str, area: Area, frames: &[Frame<'_>], starts: &[f64], phases: usize) {
    let sum = |frame: &Frame<'_>| frame.phases[..phases].iter().sum::<f64>();
    let longest = frames.iter().flat_map(|frame| [Some(sum(frame)), frame.copy_ns]).flatten().fold(1.0, f64::max);
    let panel = panel(heading, area, longest);
    panel.frame(&mut figure.canvas);
    for (frame, start) in frames.iter().zip(starts) {
        let y = area.1 + start + 2.0;
        let mut from = 0.0;
        for ((name, color), ns) in PHASES.iter().zip(frame.phases).take(phases) {
            let (left, right) = (panel.px(from), panel.px(from + ns));
            let hover = format!(
                "{} {} {name}: {}",
                size_name(frame.series.cell.size_bytes),
                mode(frame.series.cell),
                duration(ns)
            );
            figure.canvas.rect((left, y, right - left, ROW - 4.0), color, 1.0, &hover);
            from += ns;
        }
        // At the right of the line, where that lies beyond.
        let end = panel.px(from.max(frame.copy_ns.unwrap_or(0.0))) + 7.0;
        figure.canvas.text((end, y + ROW - 8.5), &duration(from), Type::new(11.5).color(MUTED).halo());
        if let Some(copy) = frame.copy_ns {
            let x = panel.px(copy);
            figure.canvas.line((x, y - 2.0), (x, y + ROW - 2.0), Stroke::new(INK, 2.0));
        }
    }
}

fn in_words(frame: &Frame<'_>) -> String {
    let phases: Vec<String> =
        PHASES.iter().zip(frame.phases).map(|((name, _), ns)| format!("{name} {}", duration(ns))).collect();
    let copy = frame.copy_ns.map_or_else(String::new, |ns| format!("; copies only take {}", duration(ns)));
    let cell = frame.series.cell;
    format!("{} {}: {}{copy}.", size_name(cell.size_bytes), mode(cell), phases.join(", "))
}
