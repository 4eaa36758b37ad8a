//! Draws charts as SVG: colours and text, elements, scales, axes and legends.

mod axes;
mod bins;
pub(super) mod chart;
pub(super) mod css_vars;
mod font;
pub(super) mod line;
pub(super) mod palette;
pub(super) mod png;
pub(super) mod scale;
mod svg;

pub(super) use self::axes::{ABOVE, ABOVE_UNTITLED, Axes, Axis, BELOW, LEFT, TICKS};
pub(super) use self::bins::{at_share, shares};
pub(super) use self::chart::{Chart, LegendEntry, MARGIN, WIDTH};
pub(super) use self::line::{DataPoint, LineStyle};
pub(super) use self::palette::{GRID, INK, LIMIT, MUTED, Marker, NOTIFY, READ, SHADE, VERIFY, WRITE};
pub(super) use self::scale::{AxisUnit, Scale, Tick, position};
pub(super) use self::svg::{Point, Rect, Stroke, SvgWriter, TextAnchor, TextStyle};
