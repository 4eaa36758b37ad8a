//! A panel with two axes: grid, ticks with units, and the mapping from values to positions.

use super::font::{fitted, width};
use super::palette::{GRID, INK, LIMIT, MUTED};
use super::scale::{AxisUnit, Scale, Tick, position};
use super::svg::{Point, Rect, Stroke, SvgWriter, TextAnchor, TextStyle};

const TICK_SIZE: f64 = 12.0;
const TITLE_SIZE: f64 = 12.5;
const HEADING_SIZE: f64 = 13.5;

/// Space above a panel for its heading and the title of its y axis.
pub(crate) const ABOVE: f64 = 44.0;
/// Space above a panel without a heading.
pub(crate) const ABOVE_UNTITLED: f64 = 22.0;
/// Space below a panel for ticks and title of its x axis.
pub(crate) const BELOW: f64 = 44.0;
/// From the lower edge to the baseline of the x labels. Low enough that a label at the left edge does not touch the
/// lowest y label.
pub(crate) const TICKS: f64 = 18.5;
/// Space left of a panel for its y labels.
pub(crate) const LEFT: f64 = 70.0;

/// One axis.
#[derive(Debug, Clone)]
pub(crate) struct Axis {
    pub(crate) scale: Scale,
    pub(crate) unit: AxisUnit,
    pub(crate) title: String,
    /// Labels that replace the ticks of the scale.
    pub(crate) named: Option<Vec<Tick>>,
}

impl Axis {
    pub(crate) fn new(scale: Scale, unit: AxisUnit, title: &str) -> Self {
        Self { scale, unit, title: title.to_owned(), named: None }
    }

    /// An axis for rows, which are labelled otherwise.
    pub(crate) fn unlabelled(title: &str) -> Self {
        Self::new(Scale::Linear { low: 0.0, high: 1.0 }, AxisUnit::Count, title).named(Vec::new())
    }

    /// An axis of categories at 0, 1, 2, …, with a margin at both ends.
    pub(crate) fn categories(labels: impl Iterator<Item = String>, margin: f64, title: &str) -> Self {
        let ticks: Vec<Tick> = labels.enumerate().map(|(at, label)| Tick { value: at as f64, label }).collect();
        let scale = Scale::Linear { low: -margin, high: ticks.len() as f64 - 1.0 + margin };
        Self::new(scale, AxisUnit::Count, title).named(ticks)
    }

    /// Replaces the ticks of the scale.
    pub(crate) fn named(self, ticks: Vec<Tick>) -> Self {
        Self { named: Some(ticks), ..self }
    }

    fn ticks(&self, max: usize) -> Vec<Tick> {
        self.named.clone().unwrap_or_else(|| self.scale.ticks(self.unit, max))
    }
}

/// Position, heading and axes of a panel.
#[derive(Debug, Clone)]
pub(crate) struct Axes {
    /// Data area; axis labels and heading are outside.
    pub(crate) area: Rect,
    pub(crate) heading: String,
    pub(crate) x: Axis,
    pub(crate) y: Axis,
}

impl Axes {
    /// x position of a value.
    pub(crate) fn x_at(&self, value: f64) -> f64 {
        self.area.0 + self.x.scale.at(value) * self.area.2
    }

    /// y position of a value.
    pub(crate) fn y_at(&self, value: f64) -> f64 {
        self.area.1 + (1.0 - self.y.scale.at(value)) * self.area.3
    }

    /// Position of a pair of values.
    pub(crate) fn point(&self, x: f64, y: f64) -> Point {
        (self.x_at(x), self.y_at(y))
    }

    /// Lower edge.
    pub(crate) fn bottom(&self) -> f64 {
        self.area.1 + self.area.3
    }

    /// Right edge.
    pub(crate) fn right(&self) -> f64 {
        self.area.0 + self.area.2
    }

    /// Draws grid, labels, titles and heading.
    pub(crate) fn draw(&self, svg: &mut SvgWriter) {
        let (left, top, panel_width, panel_height) = self.area;
        let (x_ticks, y_ticks) =
            (self.x.ticks(position(panel_width / 62.0)), self.y.ticks(position(panel_height / 32.0)));
        let upright = |tick: &Tick| ((self.x_at(tick.value), top), (self.x_at(tick.value), self.bottom()));
        let level = |tick: &Tick| ((left, self.y_at(tick.value)), (self.right(), self.y_at(tick.value)));
        let with = |named: bool| move |tick: &&Tick| tick.label.is_empty() != named;
        for named in [false, true] {
            let mut lines: Vec<(Point, Point)> = Vec::new();
            // Grid lines between categories would be meaningless.
            if self.x.named.is_none() {
                lines.extend(x_ticks.iter().filter(with(named)).map(upright));
            }
            if self.y.named.is_none() {
                lines.extend(y_ticks.iter().filter(with(named)).map(level));
            }
            svg.lines(&lines, Stroke::new(GRID, if named { 1.0 } else { 0.5 }));
        }
        svg.line((left, self.bottom()), (self.right(), self.bottom()), Stroke::new(LIMIT, 1.0));
        self.x_labels(svg, &x_ticks);
        self.y_labels(svg, &y_ticks);
        if !self.heading.is_empty() {
            let from = if self.y.title.is_empty() { top - 10.0 } else { top - 27.0 };
            let heading = fitted(&self.heading, HEADING_SIZE, true, panel_width + 40.0);
            svg.text((left, from), &heading, TextStyle::new(HEADING_SIZE).bold());
        }
        svg.text((left, top - 9.0), &self.y.title, TextStyle::new(TITLE_SIZE).color(MUTED));
        let title = fitted(&self.x.title, TITLE_SIZE, false, panel_width + 60.0);
        let middle = (left + panel_width / 2.0, self.bottom() + 36.0);
        svg.text(middle, &title, TextStyle::new(TITLE_SIZE).color(MUTED).anchor(TextAnchor::Middle));
    }

    /// Skips labels that would overlap the previous one.
    fn x_labels(&self, svg: &mut SvgWriter, ticks: &[Tick]) {
        let mut free_from = f64::NEG_INFINITY;
        for tick in ticks.iter().filter(|tick| !tick.label.is_empty()) {
            let (x, half) = (self.x_at(tick.value), width(&tick.label, TICK_SIZE, false) / 2.0);
            if x - half >= free_from {
                let style = TextStyle::new(TICK_SIZE).color(INK).anchor(TextAnchor::Middle);
                svg.text((x, self.bottom() + TICKS), &tick.label, style);
                free_from = x + half + 8.0;
            }
        }
    }

    fn y_labels(&self, svg: &mut SvgWriter, ticks: &[Tick]) {
        let mut free_below = f64::INFINITY;
        for tick in ticks.iter().filter(|tick| !tick.label.is_empty()) {
            let y = self.y_at(tick.value);
            if y <= free_below {
                let style = TextStyle::new(TICK_SIZE).color(INK).anchor(TextAnchor::End);
                svg.text((self.area.0 - 8.0, y + 4.3), &tick.label, style);
                free_below = y - 15.0;
            }
        }
    }
}
