//! `latency_against_rate`: latency of an open loop by offered load, corrected (from the scheduled send time) and raw (from
//! the actual send time), which hides the wait before sending.

use super::Plot;
use super::draw::axes::{ABOVE, Axes, Axis, BELOW, side_by_side};
use super::draw::chart::{Chart, LegendEntry, LegendSymbol};
use super::draw::line::{self, DataPoint, LineStyle};
use super::draw::palette::{LIMIT, MUTED, Marker, series_style};
use super::draw::scale::{AxisUnit, Scale};
use super::draw::svg::Stroke;
use super::series::{PlotData, count_range, legend_of_cells, mode};
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

pub(crate) fn plot(data: &PlotData<'_>) -> Option<Plot> {
    let cells: Vec<&Cell> =
        data.cells(Workload::Openloop).filter(|cell| cell.n > 0 && cell.conditions.rate_per_s.is_some()).collect();
    let columns: Vec<Arrivals> = [Arrivals::Fixed, Arrivals::Poisson]
        .into_iter()
        .filter(|arrivals| cells.iter().any(|cell| cell.conditions.arrivals == Some(*arrivals)))
        .collect();
    if columns.is_empty() {
        return None;
    }
    let mut chart = Chart::new("latency_against_rate", "Latency by offered load");
    let mut entries = legend_of_cells(cells.iter().copied());
    entries.push(LegendEntry {
        symbol: LegendSymbol::Point(Marker::Circle, MUTED, true),
        label: "corrected latency".into(),
    });
    entries.push(LegendEntry {
        symbol: LegendSymbol::Point(Marker::Circle, MUTED, false),
        label: "raw latency, from the actual send time".into(),
    });
    let limit = data.result.findings.capacity.first().map(|capacity| capacity.p99_limit_ns as f64);
    // The value is in the legend: a label at the line would cover curves.
    if let Some(limit) = limit {
        let stroke = Stroke::new(LIMIT, 1.4).dash("6 4");
        entries.push(LegendEntry {
            symbol: LegendSymbol::Line(stroke),
            label: format!("limit for p99: {}", duration(limit)),
        });
    }
    chart.legend(entries);
    let x = Scale::log(cells.iter().filter_map(|cell| Some(cell.conditions.rate_per_s? as f64)), 1.0);
    let values = |percentile: PercentileOf| {
        cells
            .iter()
            .flat_map(move |cell| [&cell.latency_ns, &cell.corrected_ns])
            .filter_map(move |summary| percentile(summary.as_ref()?))
    };
    for (name, percentile) in ROWS {
        if values(percentile).next().is_none() {
            continue;
        }
        let shown_limit = limit.filter(|_| name == "p99");
        let y = Scale::log(values(percentile).map(|ns| ns as f64).chain(shown_limit), 1.0);
        for (arrivals, area) in columns.iter().zip(side_by_side(chart.y + ABOVE, HEIGHT, columns.len())) {
            let words = match arrivals {
                Arrivals::Fixed => "equal intervals",
                Arrivals::Poisson => "random intervals (Poisson)",
            };
            let axes = Axes {
                area,
                heading: format!("{name}, {words}"),
                x: Axis::new(x, AxisUnit::Rate, "messages offered per second"),
                y: Axis::new(y, AxisUnit::Time, "latency"),
            };
            axes.draw(&mut chart.svg);
            if let Some(limit) = shown_limit {
                let level = axes.y_at(limit);
                let stroke = Stroke::new(LIMIT, 1.4).dash("6 4");
                chart.svg.line((axes.area.0, level), (axes.right(), level), stroke);
            }
            let cells_here: Vec<&Cell> =
                cells.iter().copied().filter(|cell| cell.conditions.arrivals == Some(*arrivals)).collect();
            lines(&mut chart, &axes, &cells_here, name, percentile);
        }
        chart.y += ABOVE + HEIGHT + BELOW;
    }
    let lacks_p99 =
        |cell: &&&Cell| cell.corrected_ns.as_ref().or(cell.latency_ns.as_ref()).is_some_and(|s| s.p99.is_none());
    let lacking = cells.iter().filter(lacks_p99).count();
    let missing = if lacking > 0 {
        let min_samples = thousands(Percentile::P99.least_samples() as u64);
        format!(" p99 needs {min_samples} messages per point.")
    } else {
        String::new()
    };
    let caption = format!(
        "Corrected and raw latency differ where messages waited before they were sent (coordinated omission).{missing} {}.",
        count_range(cells.iter().map(|cell| cell.n))
    );
    let alt = cells.iter().map(|cell| describe(cell)).collect::<Vec<_>>().join(" ");
    Some(chart.finish(caption, data.environment(), alt))
}

fn lines(chart: &mut Chart, axes: &Axes, cells: &[&Cell], name: &str, percentile: PercentileOf) {
    let mut modes: Vec<_> = cells.iter().map(|cell| (cell.host_wait, cell.guest_wait)).collect();
    modes.sort_unstable();
    modes.dedup();
    for (host, guest) in modes {
        let summaries: [(SummaryOf, LineStyle, &str); 2] = [
            (|cell| &cell.latency_ns, LineStyle::SIDE, "raw latency, from the actual send time"),
            (|cell| &cell.corrected_ns, LineStyle::MAIN, "corrected latency"),
        ];
        for (summary, line_style, words) in summaries {
            let mut points: Vec<DataPoint> = cells
                .iter()
                .filter(|cell| (cell.host_wait, cell.guest_wait) == (host, guest))
                .filter_map(|cell| {
                    let (rate, ns) = (cell.conditions.rate_per_s?, percentile(summary(cell).as_ref()?)?);
                    let hover =
                        format!("{} at {}/s: {name} {} {words}", mode(cell), thousands(rate), duration(ns as f64));
                    Some(DataPoint { x: rate as f64, y: ns as f64, interval: None, hover })
                })
                .collect();
            points.sort_by(|a, b| a.x.total_cmp(&b.x));
            line::draw(chart, axes, &points, series_style(host, guest), line_style);
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
