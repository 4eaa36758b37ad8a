//! `latency_against_rate`: latency of an open loop by offered load, corrected (from the scheduled send time) and raw (from
//! the actual send time), which hides the wait before sending.

use super::canvas::Stroke;
use super::curve::{self, Kind, Point};
use super::data::{Data, count_range, mode};
use super::figure::{Entry, Figure, Sign};
use super::palette::{LIMIT, MUTED, Marker, look};
use super::panel::{ABOVE, Axis, BELOW, Panel};
use super::scale::{Scale, Unit};
use super::{Plot, layout};
use crate::result::Cell;
use crate::stats::{Percentile, Summary};
use bench_model::units::{duration, thousands};
use bench_model::{Arrivals, Workload};

const HIGH: f64 = 250.0;

/// From when the time of a message counts.
type Told = fn(&Cell) -> &Option<Summary>;

/// A percentile.
type Of = fn(&Summary) -> Option<u64>;

/// The percentiles that have a row of panels each.
const ROWS: [(&str, Of); 2] = [("p50", |summary| summary.p50), ("p99", |summary| summary.p99)];

pub(crate) fn plot(data: &Data<'_>) -> Option<Plot> {
    let cells: Vec<&Cell> =
        data.cells(Workload::Openloop).filter(|cell| cell.n > 0 && cell.conditions.rate_per_s.is_some()).collect();
    let columns: Vec<Arrivals> = [Arrivals::Fixed, Arrivals::Poisson]
        .into_iter()
        .filter(|arrivals| cells.iter().any(|cell| cell.conditions.arrivals == Some(*arrivals)))
        .collect();
    if columns.is_empty() {
        return None;
    }
    let mut figure = Figure::new("latency_against_rate", "Latency by offered load");
    let mut entries = layout::entries_of(cells.iter().copied());
    entries.push(Entry { sign: Sign::Point(Marker::Circle, MUTED, true), label: "corrected latency".into() });
    entries.push(Entry {
        sign: Sign::Point(Marker::Circle, MUTED, false),
        label: "raw latency, from the actual send time".into(),
    });
    let limit = data.result.findings.capacity.first().map(|capacity| capacity.p99_limit_ns as f64);
    // Its value stands here, since beside the line there are curves.
    if let Some(limit) = limit {
        let stroke = Stroke::new(LIMIT, 1.4).dash("6 4");
        entries.push(Entry { sign: Sign::Line(stroke), label: format!("limit for p99: {}", duration(limit)) });
    }
    figure.legend(entries);
    let x = Scale::log(cells.iter().filter_map(|cell| Some(cell.conditions.rate_per_s? as f64)), 1.0);
    let values = |of: Of| {
        cells.iter().flat_map(move |cell| [&cell.latency_ns, &cell.corrected_ns]).filter_map(move |s| of(s.as_ref()?))
    };
    for (name, of) in ROWS {
        if values(of).next().is_none() {
            continue;
        }
        let shown_limit = limit.filter(|_| name == "p99");
        let y = Scale::log(values(of).map(|ns| ns as f64).chain(shown_limit), 1.0);
        for (arrivals, area) in columns.iter().zip(layout::side_by_side(figure.y + ABOVE, HIGH, columns.len())) {
            let words = match arrivals {
                Arrivals::Fixed => "equal intervals",
                Arrivals::Poisson => "random intervals (Poisson)",
            };
            let panel = Panel {
                area,
                heading: format!("{name}, {words}"),
                x: Axis::new(x, Unit::Rate, "messages offered per second"),
                y: Axis::new(y, Unit::Time, "latency"),
            };
            panel.frame(&mut figure.canvas);
            if let Some(limit) = shown_limit {
                let level = panel.py(limit);
                let stroke = Stroke::new(LIMIT, 1.4).dash("6 4");
                figure.canvas.line((panel.area.0, level), (panel.right(), level), stroke);
            }
            let here: Vec<&Cell> =
                cells.iter().copied().filter(|cell| cell.conditions.arrivals == Some(*arrivals)).collect();
            lines(&mut figure, &panel, &here, name, of);
        }
        figure.y += ABOVE + HIGH + BELOW;
    }
    let has_none =
        |cell: &&&Cell| cell.corrected_ns.as_ref().or(cell.latency_ns.as_ref()).is_some_and(|s| s.p99.is_none());
    let few = cells.iter().filter(has_none).count();
    let missing = if few > 0 {
        let least = thousands(Percentile::P99.least_samples() as u64);
        format!(" p99 needs {least} messages per point.")
    } else {
        String::new()
    };
    let caption = format!(
        "The two differ where messages waited before they were sent (coordinated omission).{missing} {}.",
        count_range(cells.iter().map(|cell| cell.n))
    );
    let alt = cells.iter().map(|cell| in_words(cell)).collect::<Vec<_>>().join(" ");
    Some(figure.finish(caption, data.place(), alt))
}

fn lines(figure: &mut Figure, panel: &Panel, cells: &[&Cell], name: &str, of: Of) {
    let mut ways: Vec<_> = cells.iter().map(|cell| (cell.host_wait, cell.guest_wait)).collect();
    ways.sort_unstable();
    ways.dedup();
    for (host, guest) in ways {
        let summaries: [(Told, Kind, &str); 2] = [
            (|cell| &cell.latency_ns, Kind::SIDE, "raw latency, from the actual send time"),
            (|cell| &cell.corrected_ns, Kind::MAIN, "corrected latency"),
        ];
        for (summary, kind, words) in summaries {
            let mut points: Vec<Point> = cells
                .iter()
                .filter(|cell| (cell.host_wait, cell.guest_wait) == (host, guest))
                .filter_map(|cell| {
                    let (rate, ns) = (cell.conditions.rate_per_s?, of(summary(cell).as_ref()?)?);
                    let hover =
                        format!("{} at {}/s: {name} {} {words}", mode(cell), thousands(rate), duration(ns as f64));
                    Some(Point { x: rate as f64, y: ns as f64, interval: None, hover })
                })
                .collect();
            points.sort_by(|one, other| one.x.total_cmp(&other.x));
            curve::draw(figure, panel, &points, look(host, guest), kind);
        }
    }
}

fn in_words(cell: &Cell) -> String {
    let told = |summary: &Option<Summary>| {
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
        or_none(told(&cell.corrected_ns)),
        or_none(told(&cell.latency_ns))
    )
}
