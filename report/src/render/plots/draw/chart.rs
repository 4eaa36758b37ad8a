//! A plot: title, legend, content and caption from top to bottom. Its height follows from the content.

use std::fmt::Write;

use super::super::Plot;
use super::font::{FAMILY, fitted, width, wrapped};
use super::palette::{INK, MUTED, Marker, PAPER, SeriesStyle};
use super::svg::{Point, Stroke, SvgWriter, TextStyle, escaped, number};

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
    Point(Marker, &'static str, bool),
    /// An area.
    Area(&'static str, f64),
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
    name: &'static str,
    title: String,
    pub(crate) svg: SvgWriter,
    /// Top of the free area.
    pub(crate) y: f64,
}

impl Chart {
    pub(crate) fn new(name: &'static str, title: &str) -> Self {
        Self { name, title: title.to_owned(), svg: SvgWriter::default(), y: HEAD }
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
                svg.marker((x + 13.0, y), style.marker, style.color, true, "");
            }
            LegendSymbol::Line(stroke) => svg.line((x, y), (x + 26.0, y), stroke),
            LegendSymbol::Point(marker, color, filled) => svg.marker((x + 7.0, y), marker, color, filled, ""),
            LegendSymbol::Area(color, opacity) => svg.rect((x, y - 6.0, 18.0, 12.0), color, opacity, ""),
        }
    }

    /// Writes the SVG. The caption in the picture ends with the environment, because pictures are often copied out of
    /// the report.
    pub(crate) fn finish(self, caption: String, environment: String, alt: String) -> Plot {
        let caption_lines = wrapped(&format!("{caption} {environment}."), CAPTION_SIZE, WIDTH - 2.0 * MARGIN);
        let body_end = self.y;
        let height = body_end + 12.0 + caption_lines.len() as f64 * CAPTION_LINE + 8.0;
        let mut svg = String::new();
        let _ = writeln!(
            svg,
            r#"<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{h}" viewBox="0 0 {WIDTH} {h}" data-body="{from} {body}" role="img" font-family="{FAMILY}">"#,
            h = number(height),
            from = number(HEAD - 12.0),
            body = number(body_end + 6.0 - (HEAD - 12.0)),
        );
        let _ = writeln!(svg, "<title>{}</title>\n<desc>{}</desc>", escaped(&self.title), escaped(&alt));
        let mut ground = SvgWriter::default();
        ground.rect((0.0, 0.0, WIDTH, height), PAPER, 1.0, "");
        svg.push_str(&ground.into_string());
        let mut head = SvgWriter::default();
        let title = fitted(&self.title, TITLE_SIZE, true, WIDTH - 2.0 * MARGIN);
        head.text((MARGIN, 32.0), &title, TextStyle::new(TITLE_SIZE).bold().color(INK));
        let _ = writeln!(svg, "<g class=\"head\">\n{}</g>", head.into_string());
        svg.push_str(&self.svg.into_string());
        let mut foot = SvgWriter::default();
        for (position, line) in caption_lines.iter().enumerate() {
            let y = body_end + 24.0 + position as f64 * CAPTION_LINE;
            foot.text((MARGIN, y), line, TextStyle::new(CAPTION_SIZE).color(MUTED));
        }
        let _ = writeln!(svg, "<g class=\"caption\">\n{}</g>\n</svg>", foot.into_string());
        Plot { name: self.name, title: self.title, caption, environment, alt, svg }
    }
}
