//! `latency_histogram`: each way's latencies on a linear axis of its own, and all of them on one logarithmic axis,
//! where a few operations in the tail can be seen beside thousands in the body.

use super::bins::shares;
use super::canvas::{Anchor, Area, Place, Stroke, Type};
use super::data::{Data, Question, Series, at_share, mode, position};
use super::figure::{Figure, MARGIN, WIDTH};
use super::palette::MUTED;
use super::panel::{ABOVE, Axis, BELOW, LEFT, Panel};
use super::percentiles::{in_words, told_counts};
use super::scale::{Scale, Unit};
use super::{Plot, layout};
use bench_model::units::{duration, sig3};

const LINEAR_HIGH: f64 = 130.0;
const LOG_HIGH: f64 = 210.0;
/// Room for a line of text above the bars.
const NOTE_HIGH: f64 = 17.0;
const LINEAR_BINS: u32 = 50;
/// Bins of a logarithmic axis per factor of ten.
const PER_DECADE: f64 = 24.0;
/// Linear panels beside each other.
const COLUMNS: usize = 3;
/// A linear axis ends at this share of its samples, or earlier at so many times the 90th percentile: beyond, a few may be
/// a thousand times slower, and the body would be a single bar.
const SHOWN: f64 = 0.99;
const TIMES_P90: f64 = 3.0;

pub(crate) fn plot(data: &Data<'_>) -> Option<Plot> {
    let questions = data.latencies();
    if questions.is_empty() {
        return None;
    }
    let mut figure = Figure::new("latency_histogram", "Distribution of the latency");
    figure.legend(layout::mode_entries(&questions));
    for question in &questions {
        linear(&mut figure, question);
        logarithmic(&mut figure, question);
    }
    let caption = format!(
        "Linear axes end before the tail, with a note on the rest; logarithmic axes show every operation. Each sample is spread over one clock step. {}.",
        told_counts(&questions)
    );
    let alt = questions.iter().map(in_words).collect::<Vec<_>>().join(" ");
    Some(figure.finish(caption, data.place(), alt))
}

fn linear(figure: &mut Figure, question: &Question<'_>) {
    for row in question.series.chunks(COLUMNS) {
        let columns = COLUMNS.min(question.series.len());
        let areas = layout::side_by_side(figure.y + ABOVE, LINEAR_HIGH, columns);
        for (series, area) in row.iter().zip(areas) {
            linear_panel(figure, &question.heading, series, area);
        }
        figure.y += ABOVE + LINEAR_HIGH + BELOW - 14.0;
    }
}

fn linear_panel(figure: &mut Figure, heading: &str, series: &Series<'_>, area: Area) {
    let sorted = &series.sorted;
    let end = (at_share(sorted, 0.9) as f64 * TIMES_P90).min(at_share(sorted, SHOWN) as f64);
    let scale = Scale::around([at_share(sorted, 0.0) as f64, end]);
    let Scale::Linear { low, high } = scale else { return };
    let edges: Vec<f64> =
        (0..=LINEAR_BINS).map(|edge| low + (high - low) * f64::from(edge) / f64::from(LINEAR_BINS)).collect();
    let bins = shares(sorted, &edges);
    let beyond = sorted.len() - sorted.partition_point(|&ns| ns as f64 <= high);
    // What is said of the tail stands above the highest bar.
    let headroom = if beyond > 0 { area.3 / (area.3 - NOTE_HIGH) } else { 1.0 };
    let y = Scale::from_zero(bins.iter().map(|share| share * headroom));
    let y = Axis::new(y, Unit::Share, "operations per bin");
    let heading = format!("{heading}, {}", mode(series.cell));
    let panel = Panel { area, heading, x: Axis::new(scale, Unit::Time, ""), y };
    panel.frame(&mut figure.canvas);
    for (pair, share) in edges.windows(2).zip(bins).filter(|(_, share)| *share > 0.0) {
        let (left, top) = panel.place(pair[0], share);
        let bar = (left, top, panel.px(pair[1]) - left - 0.6, panel.bottom() - top);
        let hover = format!("{} to {}: {} %", duration(pair[0]), duration(pair[1]), sig3(share * 100.0));
        figure.canvas.rect(bar, series.look.color, 1.0, &hover);
    }
    if let Some(&max) = sorted.last().filter(|_| beyond > 0) {
        let share = sig3(beyond as f64 * 100.0 / sorted.len() as f64);
        let note = format!("{share} % beyond, to {}", duration(max as f64));
        let how = Type::new(12.0).color(MUTED).anchor(Anchor::End).halo();
        figure.canvas.text((panel.right(), area.1 + 12.0), &note, how);
    }
}

fn logarithmic(figure: &mut Figure, question: &Question<'_>) {
    let extremes = || question.series.iter().flat_map(|series| [series.sorted.first(), series.sorted.last()]).flatten();
    let scale = Scale::log(extremes().map(|&ns| ns as f64), 1.0);
    let Scale::Log { low, high } = scale else { return };
    let count = ((high / low).log10() * PER_DECADE).ceil().clamp(1.0, 600.0);
    let edges: Vec<f64> = (0..=position(count)).map(|edge| low * (high / low).powf(edge as f64 / count)).collect();
    let most = question.series.iter().map(|series| series.sorted.len()).max().unwrap_or(1);
    let histograms: Vec<Vec<f64>> = question.series.iter().map(|series| shares(&series.sorted, &edges)).collect();
    let floor = 0.5 / most as f64;
    let y = Scale::log(histograms.iter().flatten().copied().chain([floor]), floor);
    let area = (MARGIN + LEFT - 8.0, figure.y + ABOVE, WIDTH - 2.0 * MARGIN - LEFT + 8.0, LOG_HIGH);
    let panel = Panel {
        area,
        heading: format!("{}, both axes logarithmic", question.title()),
        x: Axis::new(scale, Unit::Time, "latency"),
        y: Axis::new(y, Unit::Share, "operations per bin"),
    };
    panel.frame(&mut figure.canvas);
    for (series, bins) in question.series.iter().zip(&histograms) {
        for outline in outlines(&panel, &edges, bins) {
            figure.canvas.polygon(&outline, series.look.color, 0.28);
            figure.canvas.polyline(&outline, Stroke::new(series.look.color, 1.4).dash(series.look.dash));
        }
    }
    figure.y += ABOVE + LOG_HIGH + BELOW;
}

/// The outline of each run of bins that are not empty.
fn outlines(panel: &Panel, edges: &[f64], bins: &[f64]) -> Vec<Vec<Place>> {
    let mut all: Vec<Vec<Place>> = Vec::new();
    let mut open: Option<Vec<Place>> = None;
    for (pair, share) in edges.windows(2).zip(bins) {
        let (left, right) = (panel.px(pair[0]), panel.px(pair[1]));
        if *share > 0.0 {
            let outline = open.get_or_insert_with(|| vec![(left, panel.bottom())]);
            outline.extend([(left, panel.py(*share)), (right, panel.py(*share))]);
        } else if let Some(mut outline) = open.take() {
            outline.push((left, panel.bottom()));
            all.push(outline);
        }
    }
    if let Some(mut outline) = open {
        outline.push((panel.right(), panel.bottom()));
        all.push(outline);
    }
    all
}
