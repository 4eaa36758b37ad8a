//! `latency_against_rate`: latency of an open loop by offered load, corrected (from the scheduled send time) and raw (from
//! the actual send time), which hides the wait before sending.

use super::Texts;
use super::draw::{ABOVE, Axes, Axis, AxisUnit, Chart, DataPoint, LegendEntry, LineStyle, Marker, Scale, Stroke, line};
use super::series::{PlotData, count_range, described, distinct, grouped, legend_of_cells, mode, style, waits};
use crate::result::Cell;
use bench_model::units::{duration, thousands};
use bench_model::{Arrivals, Workload};
use statistics::{Percentile, Summary};

const HEIGHT: f64 = 250.0;

/// Selects corrected or raw latencies of a cell.
type SummaryOf = fn(&Cell) -> &Option<Summary>;

/// Selects a percentile.
type PercentileOf = fn(&Summary) -> Option<u64>;

/// One row of panels per percentile.
const ROWS: [(&str, PercentileOf); 2] = [("p50", |summary| summary.p50), ("p99", |summary| summary.p99)];

pub(super) fn draw(data: &PlotData<'_>, chart: &mut Chart) -> Option<Texts> {
    let offered = |cell: &&Cell| cell.n > 0 && cell.conditions.rate_per_s.is_some();
    let cells: Vec<&Cell> = data.cells(Workload::Openloop).filter(offered).collect();
    let columns = distinct(cells.iter().filter_map(|cell| cell.conditions.arrivals));
    if columns.is_empty() {
        return None;
    }
    let mut entries = legend_of_cells(cells.iter().copied());
    entries.push(LegendEntry::point(Marker::Circle, true, "corrected latency"));
    entries.push(LegendEntry::point(Marker::Circle, false, "raw latency, from the actual send time"));
    let limit = data.result.findings.capacity.first().map(|capacity| capacity.p99_limit_ns as f64);
    // The value is in the legend: a label at the line would cover curves.
    entries.extend(limit.map(|limit| LegendEntry::line(Stroke::DASHED, format!("limit for p99: {}", duration(limit)))));
    chart.legend(entries);
    let x = Scale::log(cells.iter().filter_map(|cell| Some(cell.conditions.rate_per_s? as f64)), 1.0);
    for (name, percentile) in ROWS {
        let summaries = cells.iter().flat_map(|cell| [&cell.latency_ns, &cell.corrected_ns]);
        let values: Vec<u64> = summaries.filter_map(|summary| percentile(summary.as_ref()?)).collect();
        if values.is_empty() {
            continue;
        }
        let shown_limit = limit.filter(|_| name == "p99");
        let y = Scale::log(values.into_iter().map(|ns| ns as f64).chain(shown_limit), 1.0);
        for (arrivals, area) in columns.iter().zip(chart.panels(ABOVE, HEIGHT, columns.len())) {
            let words = match arrivals {
                Arrivals::Fixed => "equal intervals",
                Arrivals::Poisson => "random intervals (Poisson)",
            };
            let x = Axis::new(x, AxisUnit::Rate, "messages offered per second");
            let axes = chart.axes(area, format!("{name}, {words}"), x, Axis::new(y, AxisUnit::Time, "latency"));
            if let Some(limit) = shown_limit {
                let level = axes.y_at(limit);
                chart.svg.line((axes.area.0, level), (axes.right(), level), Stroke::DASHED);
            }
            let here = cells.iter().copied().filter(|cell| cell.conditions.arrivals == Some(*arrivals));
            lines(chart, &axes, here, name, percentile);
        }
    }
    let lacks_p99 =
        |cell: &&Cell| cell.corrected_ns.as_ref().or(cell.latency_ns.as_ref()).is_some_and(|s| s.p99.is_none());
    let missing = if cells.iter().any(lacks_p99) {
        let min_samples = thousands(Percentile::P99.min_samples() as u64);
        format!(" p99 needs {min_samples} messages per point.")
    } else {
        String::new()
    };
    let caption = format!(
        "Corrected and raw latency differ where messages waited before they were sent (coordinated omission).{missing} {}.",
        count_range(cells.iter().map(|cell| cell.n))
    );
    Some(Texts { caption, alt: described(&cells, |cell| describe(cell)) })
}

fn lines<'a>(
    chart: &mut Chart,
    axes: &Axes,
    cells: impl Iterator<Item = &'a Cell>,
    name: &str,
    percentile: PercentileOf,
) {
    let summaries: [(SummaryOf, LineStyle, &str); 2] = [
        (|cell| &cell.latency_ns, LineStyle::SIDE, "raw latency, from the actual send time"),
        (|cell| &cell.corrected_ns, LineStyle::MAIN, "corrected latency"),
    ];
    for cells in grouped(cells, |cell| waits(cell)) {
        for (summary, line_style, words) in summaries {
            let point = |cell: &&Cell| {
                let (rate, ns) = (cell.conditions.rate_per_s?, percentile(summary(cell).as_ref()?)?);
                let hover = format!("{} at {}/s: {name} {} {words}", mode(cell), thousands(rate), duration(ns as f64));
                Some(DataPoint { x: rate as f64, y: ns as f64, interval: None, hover })
            };
            line::draw(chart, axes, cells.iter().filter_map(point), style(cells[0]), line_style);
        }
    }
}

fn describe(cell: &Cell) -> String {
    let percentiles = |summary: &Option<Summary>| {
        let summary = summary.as_ref()?;
        Some(format!(
            "p50 {}, p99 {}",
            duration(summary.p50? as f64),
            summary.p99.map_or_else(|| "unknown".to_owned(), |ns| duration(ns as f64))
        ))
    };
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "unknown".to_owned());
    format!(
        "{} at {}: corrected {}; raw {}.",
        mode(cell),
        cell.conditions,
        or_none(percentiles(&cell.corrected_ns)),
        or_none(percentiles(&cell.latency_ns))
    )
}
