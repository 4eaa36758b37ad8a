//! A line through measured points with their intervals, as several plots draw it.

use super::canvas::{Place, Stroke};
use super::figure::Figure;
use super::palette::Look;
use super::panel::Panel;

/// A measured point.
#[derive(Debug, Clone)]
pub(crate) struct Point {
    pub(crate) x: f64,
    pub(crate) y: f64,
    /// How far it is to be trusted.
    pub(crate) interval: Option<(f64, f64)>,
    /// Shown to who points at it.
    pub(crate) hover: String,
}

/// How a line through points is told from others of the same way to wait.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kind {
    /// Points are filled, or only rims.
    pub(crate) filled: bool,
    /// In place of the look's own dash.
    pub(crate) dash: Option<&'static str>,
    /// The line's width; 0: points alone.
    pub(crate) width: f64,
    /// The size of the points, as a multiple of the usual one.
    pub(crate) scale: f64,
}

impl Kind {
    /// Filled points on a line of the look's own dash.
    pub(crate) const MAIN: Self = Self { filled: true, dash: None, width: 2.2, scale: 1.0 };
    /// Rims on a thin dotted line.
    pub(crate) const SIDE: Self = Self { filled: false, dash: Some("2 3"), width: 1.5, scale: 1.0 };
}

/// Draws the points in their order.
pub(crate) fn draw(figure: &mut Figure, panel: &Panel, points: &[Point], look: Look, kind: Kind) {
    let places: Vec<Place> = points.iter().map(|point| panel.place(point.x, point.y)).collect();
    if kind.width > 0.0 {
        let stroke = Stroke::new(look.color, kind.width).dash(kind.dash.unwrap_or(look.dash));
        figure.canvas.polyline(&places, stroke);
    }
    for (point, at) in points.iter().zip(&places) {
        if let Some((low, high)) = point.interval {
            figure.canvas.whisker(at.0, panel.py(low), panel.py(high), look.color);
        }
    }
    for (point, at) in points.iter().zip(places) {
        figure.canvas.scaled_marker(at, look.marker, (look.color, kind.filled), kind.scale, &point.hover);
    }
}
