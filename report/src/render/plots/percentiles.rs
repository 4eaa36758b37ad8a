//! `latency_percentiles`: which share of the operations took how long at most, each further nine as wide as the one
//! before, so that the tail has as much room as the body.

use super::canvas::{Anchor, Place, Stroke, Type};
use super::data::{Data, Question, Series, counts, mode};
use super::figure::{Entry, Figure, Sign};
use super::palette::{LIMIT, MUTED, Marker};
use super::panel::{ABOVE, Axis, BELOW, Panel, TICKS};
use super::scale::{Scale, Unit};
use super::{Plot, layout};
use crate::stats::Percentile;
use bench_model::units::{duration, thousands};

const HIGH: f64 = 300.0;
/// Room at the right for the worst sample.
const WORST: f64 = 92.0;

/// The shares, in hundredths of a per cent, at which curves have a point.
fn shares() -> Vec<u32> {
    let mut shares: Vec<u32> = (1..90).map(|share| share * 100).collect();
    shares.extend((9_000..=9_990).step_by(10));
    shares.extend(9_990..=9_999);
    shares.sort_unstable();
    shares.dedup();
    shares
}

/// The share in hundredths of a per cent at which a curve ends: the last percentile that the report gives of so many
/// samples, or further on the last one beyond which there are ten.
fn last_share(n: usize) -> u32 {
    let given = [(Percentile::P95, 9_500), (Percentile::P90, 9_000), (Percentile::P50, 5_000)];
    let given = given.into_iter().find(|(percentile, _)| n >= percentile.least_samples()).map_or(0, |(_, share)| share);
    let beyond = u32::try_from((100_000 / n.max(1)).max(1)).unwrap_or(u32::MAX);
    10_000_u32.saturating_sub(beyond).max(given)
}

pub(crate) fn plot(data: &Data<'_>) -> Option<Plot> {
    let questions = data.latencies();
    if questions.is_empty() {
        return None;
    }
    let mut figure = Figure::new("latency_percentiles", "Latency by percentile");
    let mut entries = layout::mode_entries(&questions);
    entries.push(Entry { sign: Sign::Area(LIMIT, 0.25), label: "95 % interval of the percentile".into() });
    entries.push(Entry { sign: Sign::Point(Marker::Circle, MUTED, false), label: "slowest of n".into() });
    figure.legend(entries);
    let all = || questions.iter().flat_map(|question| &question.series);
    let extremes = all().flat_map(|series| [series.sorted.first(), series.sorted.last()]).flatten();
    let scale = Scale::log(extremes.map(|&ns| ns as f64), 1.0);
    let panels = layout::side_by_side(figure.y + ABOVE, HIGH, questions.len());
    let most = all().map(|series| last_share(series.sorted.len())).max().unwrap_or(5_000).max(9_000);
    for (question, area) in questions.iter().zip(panels) {
        let x = Axis::new(Scale::Nines { last: f64::from(most) / 1e4 }, Unit::Share, "percentile");
        let area = (area.0, area.1, area.2 - WORST, area.3);
        let y = Axis::new(scale, Unit::Time, question.axis_title());
        let panel = Panel { area, heading: question.heading.clone(), x, y };
        panel.frame(&mut figure.canvas);
        let worst = panel.right() + WORST / 2.0;
        figure.canvas.text((worst, panel.bottom() + TICKS), "max", Type::new(12.0).color(MUTED).anchor(Anchor::Middle));
        for series in &question.series {
            curve(&mut figure, &panel, series, worst);
        }
    }
    figure.y += ABOVE + HIGH + BELOW;
    let caption = format!(
        "Nearest-rank percentiles, as far as there are enough samples. Bands: intervals from order statistics (independent samples). Bar at p50: block bootstrap, includes drift. {}.",
        told_counts(&questions)
    );
    let alt = questions.iter().map(in_words).collect::<Vec<_>>().join(" ");
    Some(figure.finish(caption, data.place(), alt))
}

fn curve(figure: &mut Figure, panel: &Panel, series: &Series<'_>, worst: f64) {
    let sorted = &series.sorted;
    let last = last_share(sorted.len());
    let mut line: Vec<Place> = Vec::new();
    let (mut low, mut high): (Vec<Place>, Vec<Place>) = (Vec::new(), Vec::new());
    for share in shares().into_iter().filter(|share| *share <= last) {
        let percentile = Percentile::at(share);
        let x = f64::from(share) / 1e4;
        if let Some(value) = percentile.of(sorted) {
            line.push(panel.place(x, value as f64));
        }
        if let Some(interval) = percentile.interval(sorted) {
            low.push(panel.place(x, interval.low as f64));
            high.push(panel.place(x, interval.high as f64));
        }
    }
    high.extend(low.into_iter().rev());
    let look = series.look;
    figure.canvas.polygon(&high, look.color, 0.22);
    figure.canvas.polyline(&line, Stroke::new(look.color, 2.2).dash(look.dash));
    if let Some(interval) = series.cell.latencies().and_then(|all| all.p50_interval_ns) {
        let x = panel.px(0.5);
        figure.canvas.whisker(x, panel.py(interval.low as f64), panel.py(interval.high as f64), look.color);
    }
    let marked = [(5_000, "p50"), (9_000, "p90"), (9_900, "p99"), (9_990, "p99.9"), (9_999, "p99.99")];
    for (share, name) in marked.into_iter().filter(|(share, _)| *share <= last) {
        if let Some(value) = Percentile::at(share).of(sorted) {
            let hover = format!("{} {name}: {}", mode(series.cell), duration(value as f64));
            let at = panel.place(f64::from(share) / 1e4, value as f64);
            figure.canvas.marker(at, look.marker, look.color, true, &hover);
        }
    }
    if let Some(&max) = sorted.last() {
        let hover =
            format!("{}, slowest of {}: {}", mode(series.cell), thousands(sorted.len() as u64), duration(max as f64));
        figure.canvas.marker((worst, panel.py(max as f64)), look.marker, look.color, false, &hover);
    }
}

/// How many samples there are, question by question.
pub(crate) fn told_counts(questions: &[Question<'_>]) -> String {
    let one = |question: &Question<'_>| {
        let told = counts(question.series.iter().map(|series| (series.cell, series.sorted.len())));
        if questions.len() > 1 { format!("{}: {told}", question.heading) } else { told }
    };
    questions.iter().map(one).collect::<Vec<_>>().join("; ")
}

/// Each way's percentiles in a sentence.
pub(crate) fn in_words(question: &Question<'_>) -> String {
    let one = |series: &Series<'_>| {
        let Some(summary) = series.cell.latencies().map(|all| all.ns) else { return String::new() };
        let named = [("p50", summary.p50), ("p90", summary.p90), ("p99", summary.p99), ("p99.9", summary.p999)];
        let named = named.into_iter().filter_map(|(name, ns)| Some(format!("{name} {}", duration(ns? as f64))));
        let figures: Vec<String> = named.chain([format!("max {}", duration(summary.max as f64))]).collect();
        format!("{} {}", mode(series.cell), figures.join(", "))
    };
    format!("{}: {}.", question.title(), question.series.iter().map(one).collect::<Vec<_>>().join("; "))
}
