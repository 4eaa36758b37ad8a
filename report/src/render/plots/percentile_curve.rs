//! `latency_percentiles`: latency by percentile. Each further nine takes the same width, so the tail is as readable as
//! the body.

use super::Texts;
use super::draw::{
    ABOVE, Axes, Axis, AxisUnit, Chart, LIMIT, LegendEntry, MUTED, Marker, Point, Scale, Stroke, TICKS, TextAnchor,
    TextStyle,
};
use super::series::{ModeSamples, PanelGroup, PlotData, counts, described, legend_of_groups, mode, time_scale};
use bench_model::units::{duration, thousands};
use statistics::Percentile;

const HEIGHT: f64 = 300.0;
/// Space on the right for the maximum.
const MAX_WIDTH: f64 = 92.0;

/// Quantiles of the curve, in hundredths of a per cent.
fn shares() -> Vec<u32> {
    let mut shares: Vec<u32> = (1..90).map(|share| share * 100).collect();
    shares.extend((9_000..=9_990).step_by(10));
    shares.extend(9_990..=9_999);
    shares.sort_unstable();
    shares.dedup();
    shares
}

/// The quantile, in hundredths of a per cent, at which a curve ends: the highest with ten samples above it, but at
/// least the highest percentile that the report gives for this sample count.
fn last_share(n: usize) -> u32 {
    let reported = [(Percentile::P95, 9_500), (Percentile::P90, 9_000), (Percentile::P50, 5_000)];
    let reported =
        reported.into_iter().find(|(percentile, _)| n >= percentile.min_samples()).map_or(0, |(_, share)| share);
    let beyond = u32::try_from((100_000 / n.max(1)).max(1)).unwrap_or(u32::MAX);
    10_000_u32.saturating_sub(beyond).max(reported)
}

pub(super) fn draw(data: &PlotData<'_>, chart: &mut Chart) -> Option<Texts> {
    let groups = data.latencies();
    let all = || groups.iter().flat_map(|group| &group.series);
    let last = all().map(|series| last_share(series.sorted.len())).max()?.max(9_000);
    let mut entries = legend_of_groups(&groups);
    entries.push(LegendEntry::area(LIMIT, 0.25, "95 % interval of the percentile"));
    entries.push(LegendEntry::point(Marker::Circle, false, "slowest of n"));
    chart.legend(entries);
    let scale = time_scale(all());
    for (group, area) in groups.iter().zip(chart.panels(ABOVE, HEIGHT, groups.len())) {
        let x = Axis::new(Scale::Nines { last: f64::from(last) / 1e4 }, AxisUnit::Share, "percentile");
        let y = Axis::new(scale, AxisUnit::Time, group.axis_title());
        let axes = chart.axes((area.0, area.1, area.2 - MAX_WIDTH, area.3), &*group.heading, x, y);
        let max_x = axes.right() + MAX_WIDTH / 2.0;
        let style = TextStyle::new(12.0).color(MUTED).anchor(TextAnchor::Middle);
        chart.svg.text((max_x, axes.bottom() + TICKS), "max", style);
        for series in &group.series {
            curve(chart, &axes, series, max_x);
        }
    }
    let caption = format!(
        "Nearest-rank percentiles, as far as the samples suffice. Bands: intervals from order statistics (independent samples). Bar at p50: block bootstrap, includes drift. {}.",
        sample_counts(&groups)
    );
    Some(Texts { caption, alt: described(&groups, describe) })
}

fn curve(chart: &mut Chart, axes: &Axes, series: &ModeSamples<'_>, max_x: f64) {
    let sorted = &series.sorted;
    let last = last_share(sorted.len());
    let mut line: Vec<Point> = Vec::new();
    let (mut low, mut high): (Vec<Point>, Vec<Point>) = (Vec::new(), Vec::new());
    for share in shares().into_iter().filter(|share| *share <= last) {
        let percentile = Percentile::at(share);
        let x = f64::from(share) / 1e4;
        if let Some(value) = percentile.of(sorted) {
            line.push(axes.point(x, value as f64));
        }
        if let Some(interval) = percentile.interval(sorted) {
            low.push(axes.point(x, interval.low as f64));
            high.push(axes.point(x, interval.high as f64));
        }
    }
    high.extend(low.into_iter().rev());
    let style = series.style;
    chart.svg.polygon(&high, style.color, 0.22);
    chart.svg.polyline(&line, Stroke::new(style.color, 2.2).dash(style.dash));
    if let Some(interval) = series.cell.latencies().and_then(|all| all.p50_interval_ns) {
        let x = axes.x_at(0.5);
        chart.svg.whisker(x, axes.y_at(interval.low as f64), axes.y_at(interval.high as f64), style.color);
    }
    let marked = [(5_000, "p50"), (9_000, "p90"), (9_900, "p99"), (9_990, "p99.9"), (9_999, "p99.99")];
    for (share, name) in marked.into_iter().filter(|(share, _)| *share <= last) {
        if let Some(value) = Percentile::at(share).of(sorted) {
            let hover = format!("{} {name}: {}", mode(series.cell), duration(value as f64));
            let at = axes.point(f64::from(share) / 1e4, value as f64);
            chart.svg.marker(at, style.marker, (style.color, true), 1.0, &hover);
        }
    }
    if let Some(&max) = sorted.last() {
        let hover =
            format!("{}, slowest of {}: {}", mode(series.cell), thousands(sorted.len() as u64), duration(max as f64));
        chart.svg.marker((max_x, axes.y_at(max as f64)), style.marker, (style.color, false), 1.0, &hover);
    }
}

/// Sample counts of each panel.
pub(crate) fn sample_counts(groups: &[PanelGroup<'_>]) -> String {
    let counts_of = |group: &PanelGroup<'_>| {
        let text = counts(group.series.iter().map(|series| (series.cell, series.sorted.len())));
        if groups.len() > 1 { format!("{}: {text}", group.heading) } else { text }
    };
    groups.iter().map(counts_of).collect::<Vec<_>>().join("; ")
}

/// Percentiles of each mode, as text.
pub(crate) fn describe(group: &PanelGroup<'_>) -> String {
    let percentiles = |series: &ModeSamples<'_>| {
        let Some(summary) = series.cell.latencies().map(|all| all.ns) else { return String::new() };
        let named = [("p50", summary.p50), ("p90", summary.p90), ("p99", summary.p99), ("p99.9", summary.p999)];
        let named = named.into_iter().filter_map(|(name, ns)| Some(format!("{name} {}", duration(ns? as f64))));
        let values: Vec<String> = named.chain([format!("max {}", duration(summary.max as f64))]).collect();
        format!("{} {}", mode(series.cell), values.join(", "))
    };
    format!("{}: {}.", group.title(), group.series.iter().map(percentiles).collect::<Vec<_>>().join("; "))
}
