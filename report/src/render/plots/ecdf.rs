//! `latency_ecdf`: the share of the operations that took no longer than a given time.

use super::canvas::{Place, Stroke};
use super::data::{Data, Series, at_share, mode};
use super::figure::Figure;
use super::panel::{ABOVE, Axis, BELOW, Panel};
use super::percentiles::{in_words, told_counts};
use super::scale::{Scale, Unit};
use super::{Plot, layout};
use crate::stats::Percentile;
use bench_model::units::duration;

const HIGH: f64 = 280.0;
/// Points of a curve.
const POINTS: u32 = 400;
/// The axis ends where the slowest way has this share behind it: the tail beyond is for `latency_percentiles`.
const SHOWN: f64 = 0.995;

pub(crate) fn plot(data: &Data<'_>) -> Option<Plot> {
    let questions = data.latencies();
    if questions.is_empty() {
        return None;
    }
    let mut figure = Figure::new("latency_ecdf", "Cumulative distribution of the latency");
    figure.legend(layout::mode_entries(&questions));
    let all = || questions.iter().flat_map(|question| &question.series);
    let ends = all().flat_map(|series| [at_share(&series.sorted, 0.0), at_share(&series.sorted, SHOWN)]);
    let scale = Scale::log(ends.map(|ns| ns as f64), 1.0);
    let y = Axis::new(Scale::Linear { low: 0.0, high: 1.0 }, Unit::Share, "share of the operations");
    for (question, area) in questions.iter().zip(layout::side_by_side(figure.y + ABOVE, HIGH, questions.len())) {
        let x = Axis::new(scale, Unit::Time, question.axis_title());
        let panel = Panel { area, heading: question.heading.clone(), x, y: y.clone() };
        panel.frame(&mut figure.canvas);
        for series in &question.series {
            curve(&mut figure, &panel, series);
        }
    }
    figure.y += ABOVE + HIGH + BELOW;
    let caption = format!(
        "Empirical distribution function. Marks: p50, p90 and p99, where there are enough samples. The axis ends at p99.5 of the slowest mode. {}.",
        told_counts(&questions)
    );
    let alt = questions.iter().map(in_words).collect::<Vec<_>>().join(" ");
    Some(figure.finish(caption, data.place(), alt))
}

fn curve(figure: &mut Figure, panel: &Panel, series: &Series<'_>) {
    let look = series.look;
    let share = |point: u32| f64::from(point) / f64::from(POINTS);
    let mut places: Vec<Place> = vec![panel.place(at_share(&series.sorted, 0.0) as f64, 0.0)];
    places.extend((1..=POINTS).map(|point| panel.place(at_share(&series.sorted, share(point)) as f64, share(point))));
    places.push((panel.right(), panel.py(1.0)));
    figure.canvas.polyline(&places, Stroke::new(look.color, 2.2).dash(look.dash));
    for (percentile, share, name) in
        [(Percentile::P50, 0.5, "p50"), (Percentile::P90, 0.9, "p90"), (Percentile::P99, 0.99, "p99")]
    {
        let Some(value) = percentile.of(&series.sorted) else { continue };
        let hover = format!("{} {name}: {}", mode(series.cell), duration(value as f64));
        figure.canvas.marker(panel.place(value as f64, share), look.marker, look.color, true, &hover);
    }
}
