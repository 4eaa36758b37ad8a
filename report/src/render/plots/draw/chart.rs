//! A plot: title, legend, content and caption from top to bottom. Its height follows from the content.

use super::super::{Plot, Texts};
use super::axes::{Axes, Axis, BELOW, LEFT};
use super::font::{FAMILY, fitted, width, wrapped};
use super::palette::{INK, MUTED, Marker, PAPER, SeriesStyle};
use super::svg::{Point, Rect, Stroke, SvgWriter, TextStyle, escaped, number};

/// Width of a plot.
pub(crate) const WIDTH: f64 = 1000.0;
/// Empty margin on the left and right.
pub(crate) const MARGIN: f64 = 24.0;

/// Height of the title area.
const HEAD: f64 = 50.0;
const TITLE_SIZE: f64 = 19.0;
const LEGEND_SIZE: f64 = 13.0;
const LEGEND_LINE: f64 = 22.0;
const CAPTION_SIZE: f64 = 12.5;
const CAPTION_LINE: f64 = 17.5;

/// A legend entry.
#[derive(Debug, Clone)]
pub(crate) struct LegendEntry {
    pub(crate) symbol: LegendSymbol,
    pub(crate) label: String,
}

/// The symbol of a legend entry.
#[derive(Debug, Clone, Copy)]
pub(crate) enum LegendSymbol {
    /// Line and marker of a wait mode.
    Mode(SeriesStyle),
    /// A line.
    Line(Stroke),
    /// A marker, and whether it is filled.
    Point(Marker, bool),
    /// An area.
    Area(&'static str, f64),
}

impl LegendEntry {
    pub(crate) fn line(stroke: Stroke, label: impl Into<String>) -> Self {
        Self { symbol: LegendSymbol::Line(stroke), label: label.into() }
    }

    /// A grey marker, filled or hollow.
    pub(crate) fn point(marker: Marker, filled: bool, label: impl Into<String>) -> Self {
        Self { symbol: LegendSymbol::Point(marker, filled), label: label.into() }
    }

    pub(crate) fn area(color: &'static str, opacity: f64, label: &str) -> Self {
        Self { symbol: LegendSymbol::Area(color, opacity), label: label.to_owned() }
    }
}

/// Width of a symbol with its space.
const fn symbol_width(symbol: LegendSymbol) -> f64 {
    match symbol {
        LegendSymbol::Mode(_) | LegendSymbol::Line(_) => 34.0,
        LegendSymbol::Point(..) => 20.0,
        LegendSymbol::Area(..) => 26.0,
    }
}

/// A plot under construction.
#[derive(Debug)]
pub(crate) struct Chart {
    pub(crate) svg: SvgWriter,
    /// Top of the free area.
    pub(crate) y: f64,
}

impl Chart {
    pub(crate) fn new() -> Self {
        Self { svg: SvgWriter::default(), y: HEAD }
    }

    /// Takes a row of `count` panels of equal width, each with space for its heading and axes; `above` is the space for
    /// the heading and the title of the y axis. Returns the data areas.
    pub(crate) fn panels(&mut self, above: f64, height: f64, count: usize) -> Vec<Rect> {
        let column_width = (WIDTH - 2.0 * MARGIN) / count.max(1) as f64;
        let top = self.y + above;
        let area = |position: usize| {
            let left = MARGIN + column_width * position as f64 + LEFT - 8.0;
            let right = MARGIN + column_width * (position + 1) as f64 - if position + 1 < count { 14.0 } else { 0.0 };
            (left, top, right - left, height)
        };
        self.y = top + height + BELOW;
        (0..count).map(area).collect()
    }

    /// Takes one panel of the whole width.
    pub(crate) fn panel(&mut self, above: f64, height: f64) -> Rect {
        self.panels(above, height, 1)[0]
    }

    /// Draws the axes of a panel.
    pub(crate) fn axes(&mut self, area: Rect, heading: impl Into<String>, x: Axis, y: Axis) -> Axes {
        let axes = Axes { area, heading: heading.into(), x, y };
        axes.draw(&mut self.svg);
        axes
    }

    /// Lays out the legend entries, in as many lines as needed.
    pub(crate) fn legend(&mut self, entries: impl IntoIterator<Item = LegendEntry>) {
        let mut at = (MARGIN, self.y + 8.0);
        for LegendEntry { symbol, label } in entries {
            let label = fitted(&label, LEGEND_SIZE, false, WIDTH / 2.0);
            let taken = symbol_width(symbol);
            let room = taken + width(&label, LEGEND_SIZE, false);
            if at.0 > MARGIN && at.0 + room > WIDTH - MARGIN {
                at = (MARGIN, at.1 + LEGEND_LINE);
            }
            self.symbol(symbol, (at.0, at.1 - 4.5));
            self.svg.text((at.0 + taken, at.1), &label, TextStyle::new(LEGEND_SIZE));
            at.0 += room + 22.0;
        }
        self.y = at.1 + 12.0;
    }

    fn symbol(&mut self, symbol: LegendSymbol, (x, y): Point) {
        let svg = &mut self.svg;
        match symbol {
            LegendSymbol::Mode(style) => {
                svg.line((x, y), (x + 26.0, y), Stroke::new(style.color, 2.2).dash(style.dash));
                svg.marker((x + 13.0, y), style.marker, (style.color, true), 1.0, "");
            }
            LegendSymbol::Line(stroke) => svg.line((x, y), (x + 26.0, y), stroke),
            LegendSymbol::Point(marker, filled) => svg.marker((x + 7.0, y), marker, (MUTED, filled), 1.0, ""),
            LegendSymbol::Area(color, opacity) => svg.rect((x, y - 6.0, 18.0, 12.0), color, opacity, ""),
        }
    }

    /// Writes the SVG. The caption in the picture ends with the environment, because pictures are often copied out of
    /// the report.
    pub(crate) fn finish(self, name: &'static str, title: &str, texts: Texts, environment: String) -> Plot {
        let Texts { caption, alt } = texts;
        let caption_lines = wrapped(&format!("{caption} {environment}."), CAPTION_SIZE, WIDTH - 2.0 * MARGIN);
        let body_end = self.y;
        let height = body_end + 12.0 + caption_lines.len() as f64 * CAPTION_LINE + 8.0;
        let mut ground = SvgWriter::default();
        ground.rect((0.0, 0.0, WIDTH, height), PAPER, 1.0, "");
        let mut head = SvgWriter::default();
        let fitted_title = fitted(title, TITLE_SIZE, true, WIDTH - 2.0 * MARGIN);
        head.text((MARGIN, 32.0), &fitted_title, TextStyle::new(TITLE_SIZE).bold().color(INK));
        let mut foot = SvgWriter::default();
        for (position, line) in caption_lines.iter().enumerate() {
            let y = body_end + 24.0 + position as f64 * CAPTION_LINE;
            foot.text((MARGIN, y), line, TextStyle::new(CAPTION_SIZE).color(MUTED));
        }
        let svg = format!(
            r#"<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{h}" viewBox="0 0 {WIDTH} {h}" data-body="{from} {body}" role="img" font-family="{FAMILY}">
<title>{}</title>
<desc>{}</desc>
{}<g class="head">
{}</g>
{}<g class="caption">
{}</g>
</svg>
"#,
            escaped(title),
            escaped(&alt),
            ground.into_string(),
            head.into_string(),
            self.svg.into_string(),
            foot.into_string(),
            h = number(height),
            from = number(HEAD - 12.0),
            body = number(body_end + 6.0 - (HEAD - 12.0)),
        );
        Plot { name, title: title.to_owned(), caption, environment, alt, svg }
    }
}
