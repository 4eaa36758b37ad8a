//! Draws a line through measured points with error bars.

use super::axes::Axes;
use super::chart::Chart;
use super::palette::SeriesStyle;
use super::svg::{Point, Stroke};

/// A measured point.
#[derive(Debug, Clone)]
pub(crate) struct DataPoint {
    pub(crate) x: f64,
    pub(crate) y: f64,
    /// 95 % interval of y.
    pub(crate) interval: Option<(f64, f64)>,
    /// Tooltip.
    pub(crate) hover: String,
}

/// Distinguishes several lines of one wait mode.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LineStyle {
    /// Filled or hollow markers.
    pub(crate) filled: bool,
    /// Replaces the dash of the mode.
    pub(crate) dash: Option<&'static str>,
    /// Line width.
    pub(crate) width: f64,
    /// Scale of the markers.
    pub(crate) scale: f64,
}

impl LineStyle {
    /// Filled markers, dashed like the mode.
    pub(crate) const MAIN: Self = Self { filled: true, dash: None, width: 2.2, scale: 1.0 };
    /// Hollow markers on a thin dotted line.
    pub(crate) const SIDE: Self = Self { filled: false, dash: Some("2 3"), width: 1.5, scale: 1.0 };
}

/// Draws the points in order of x.
pub(crate) fn draw(
    chart: &mut Chart,
    axes: &Axes,
    points: impl Iterator<Item = DataPoint>,
    style: SeriesStyle,
    line_style: LineStyle,
) {
    let mut points: Vec<DataPoint> = points.collect();
    points.sort_by(|a, b| a.x.total_cmp(&b.x));
    let positions: Vec<Point> = points.iter().map(|point| axes.point(point.x, point.y)).collect();
    let stroke = Stroke::new(style.color, line_style.width).dash(line_style.dash.unwrap_or(style.dash));
    chart.svg.polyline(&positions, stroke);
    for (point, at) in points.iter().zip(&positions) {
        if let Some((low, high)) = point.interval {
            chart.svg.whisker(at.0, axes.y_at(low), axes.y_at(high), style.color);
        }
    }
    for (point, at) in points.iter().zip(positions) {
        chart.svg.marker(at, style.marker, (style.color, line_style.filled), line_style.scale, &point.hover);
    }
}
