//! A rectangle with two axes: the lines behind the data, ticks with units, and from values to places.

use super::canvas::{Anchor, Area, Canvas, Place, Stroke, Type};
use super::font::{fitted, width};
use super::palette::{GRID, INK, LIMIT, MUTED};
use super::scale::{Scale, Tick, Unit};

const TICK_SIZE: f64 = 12.0;
const TITLE_SIZE: f64 = 12.5;
const HEADING_SIZE: f64 = 13.5;

/// Room above a panel for its heading and its y axis' title.
pub(crate) const ABOVE: f64 = 44.0;
/// Room below a panel for its x axis' ticks and title.
pub(crate) const BELOW: f64 = 44.0;
/// From a panel's lower edge to the foot of its x axis' ticks, low enough for one at the left edge to pass below the y axis' lowest.
pub(crate) const TICKS: f64 = 18.5;
/// Room left of a panel for its y axis' ticks.
pub(crate) const LEFT: f64 = 70.0;

/// One of a panel's axes.
#[derive(Debug, Clone)]
pub(crate) struct Axis {
    pub(crate) scale: Scale,
    pub(crate) unit: Unit,
    pub(crate) title: String,
    /// Names in place of the scale's own ticks.
    pub(crate) named: Option<Vec<Tick>>,
}

impl Axis {
    pub(crate) fn new(scale: Scale, unit: Unit, title: &str) -> Self {
        Self { scale, unit, title: title.to_owned(), named: None }
    }

    /// With names of its own at given values.
    pub(crate) fn named(self, ticks: Vec<Tick>) -> Self {
        Self { named: Some(ticks), ..self }
    }

    fn ticks(&self, most: usize) -> Vec<Tick> {
        self.named.clone().unwrap_or_else(|| self.scale.ticks(self.unit, most))
    }
}

/// See the module.
#[derive(Debug, Clone)]
pub(crate) struct Panel {
    /// Where the data are; axes and heading lie outside.
    pub(crate) area: Area,
    pub(crate) heading: String,
    pub(crate) x: Axis,
    pub(crate) y: Axis,
}

impl Panel {
    /// From the left.
    pub(crate) fn px(&self, value: f64) -> f64 {
        self.area.0 + self.x.scale.at(value) * self.area.2
    }

    /// From the top.
    pub(crate) fn py(&self, value: f64) -> f64 {
        self.area.1 + (1.0 - self.y.scale.at(value)) * self.area.3
    }

    /// Where a pair of values lies.
    pub(crate) fn place(&self, x: f64, y: f64) -> Place {
        (self.px(x), self.py(y))
    }

    /// The panel's lower edge.
    pub(crate) fn bottom(&self) -> f64 {
        self.area.1 + self.area.3
    }

    /// The panel's right edge.
    pub(crate) fn right(&self) -> f64 {
        self.area.0 + self.area.2
    }

    /// Draws what lies behind and around the data.
    pub(crate) fn frame(&self, canvas: &mut Canvas) {
        let (left, top, wide, high) = self.area;
        let (x_ticks, y_ticks) = (
            self.x.ticks(crate::render::plots::data::position(wide / 62.0)),
            self.y.ticks(crate::render::plots::data::position(high / 32.0)),
        );
        let upright = |tick: &Tick| ((self.px(tick.value), top), (self.px(tick.value), self.bottom()));
        let level = |tick: &Tick| ((left, self.py(tick.value)), (self.right(), self.py(tick.value)));
        let with = |named: bool| move |tick: &&Tick| tick.label.is_empty() != named;
        for named in [false, true] {
            let mut lines: Vec<(Place, Place)> = Vec::new();
            // Names of one's own are of places between which there is nothing to read.
            if self.x.named.is_none() {
                lines.extend(x_ticks.iter().filter(with(named)).map(upright));
            }
            if self.y.named.is_none() {
                lines.extend(y_ticks.iter().filter(with(named)).map(level));
            }
            canvas.lines(&lines, Stroke::new(GRID, if named { 1.0 } else { 0.5 }));
        }
        canvas.line((left, self.bottom()), (self.right(), self.bottom()), Stroke::new(LIMIT, 1.0));
        self.x_names(canvas, &x_ticks);
        self.y_names(canvas, &y_ticks);
        if !self.heading.is_empty() {
            let from = if self.y.title.is_empty() { top - 10.0 } else { top - 27.0 };
            let heading = fitted(&self.heading, HEADING_SIZE, true, wide + 40.0);
            canvas.text((left, from), &heading, Type::new(HEADING_SIZE).bold());
        }
        canvas.text((left, top - 9.0), &self.y.title, Type::new(TITLE_SIZE).color(MUTED));
        let title = fitted(&self.x.title, TITLE_SIZE, false, wide + 60.0);
        let middle = (left + wide / 2.0, self.bottom() + 36.0);
        canvas.text(middle, &title, Type::new(TITLE_SIZE).color(MUTED).anchor(Anchor::Middle));
    }

    /// Names that would touch the one before are left out.
    fn x_names(&self, canvas: &mut Canvas, ticks: &[Tick]) {
        let mut free_from = f64::NEG_INFINITY;
        for tick in ticks.iter().filter(|tick| !tick.label.is_empty()) {
            let (x, half) = (self.px(tick.value), width(&tick.label, TICK_SIZE, false) / 2.0);
            if x - half >= free_from {
                let how = Type::new(TICK_SIZE).color(INK).anchor(Anchor::Middle);
                canvas.text((x, self.bottom() + TICKS), &tick.label, how);
                free_from = x + half + 8.0;
            }
        }
    }

    fn y_names(&self, canvas: &mut Canvas, ticks: &[Tick]) {
        let mut free_below = f64::INFINITY;
        for tick in ticks.iter().filter(|tick| !tick.label.is_empty()) {
            let y = self.py(tick.value);
            if y <= free_below {
                let how = Type::new(TICK_SIZE).color(INK).anchor(Anchor::End);
                canvas.text((self.area.0 - 8.0, y + 4.3), &tick.label, how);
                free_below = y - 15.0;
            }
        }
    }
}
