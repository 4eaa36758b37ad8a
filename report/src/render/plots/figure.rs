//! The frame of a plot: title, legend, whatever a plot draws, and the caption, one below the other. The height is what
//! they need.

use std::fmt::Write;

use super::Plot;
use super::canvas::{Canvas, Place, Stroke, Type, escaped, number};
use super::font::{FAMILY, fitted, width, wrapped};
use super::palette::{INK, Look, MUTED, Marker, PAPER};

/// Pixels from the left to the right edge.
pub(crate) const WIDTH: f64 = 1000.0;
/// Free ground at the left and the right edge.
pub(crate) const MARGIN: f64 = 24.0;

/// Below the title.
const HEAD: f64 = 50.0;
const TITLE_SIZE: f64 = 19.0;
const LEGEND_SIZE: f64 = 13.0;
const LEGEND_LINE: f64 = 22.0;
const CAPTION_SIZE: f64 = 12.5;
const CAPTION_LINE: f64 = 17.5;

/// What explains a sign.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) sign: Sign,
    pub(crate) label: String,
}

/// A sign of the legend.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Sign {
    /// A way to wait: its line with its marker.
    Mode(Look),
    /// A line.
    Line(Stroke),
    /// A point; filled or not.
    Point(Marker, &'static str, bool),
    /// An area.
    Area(&'static str, f64),
}

/// From a sign's left edge to its words.
const fn sign_width(sign: Sign) -> f64 {
    match sign {
        Sign::Mode(_) | Sign::Line(_) => 34.0,
        Sign::Point(..) => 20.0,
        Sign::Area(..) => 26.0,
    }
}

/// A plot in the making.
#[derive(Debug)]
pub(crate) struct Figure {
    name: &'static str,
    title: String,
    pub(crate) canvas: Canvas,
    /// The first free pixel from the top.
    pub(crate) y: f64,
}

impl Figure {
    pub(crate) fn new(name: &'static str, title: &str) -> Self {
        Self { name, title: title.to_owned(), canvas: Canvas::default(), y: HEAD }
    }

    /// Puts signs and words beside each other, over as many lines as they need.
    pub(crate) fn legend(&mut self, entries: impl IntoIterator<Item = Entry>) {
        let mut at = (MARGIN, self.y + 8.0);
        for Entry { sign, label } in entries {
            let label = fitted(&label, LEGEND_SIZE, false, WIDTH / 2.0);
            let taken = sign_width(sign);
            let room = taken + width(&label, LEGEND_SIZE, false);
            if at.0 > MARGIN && at.0 + room > WIDTH - MARGIN {
                at = (MARGIN, at.1 + LEGEND_LINE);
            }
            self.sign(sign, (at.0, at.1 - 4.5));
            self.canvas.text((at.0 + taken, at.1), &label, Type::new(LEGEND_SIZE));
            at.0 += room + 22.0;
        }
        self.y = at.1 + 12.0;
    }

    fn sign(&mut self, sign: Sign, (x, y): Place) {
        let canvas = &mut self.canvas;
        match sign {
            Sign::Mode(look) => {
                canvas.line((x, y), (x + 26.0, y), Stroke::new(look.color, 2.2).dash(look.dash));
                canvas.marker((x + 13.0, y), look.marker, look.color, true, "");
            }
            Sign::Line(stroke) => canvas.line((x, y), (x + 26.0, y), stroke),
            Sign::Point(marker, color, filled) => canvas.marker((x + 7.0, y), marker, color, filled, ""),
            Sign::Area(color, opacity) => canvas.rect((x, y - 6.0, 18.0, 12.0), color, opacity, ""),
        }
    }

    /// Closes the plot below `self.y`. The caption in the picture ends with `place`, the environment: a picture is
    /// often taken out of its page.
    pub(crate) fn finish(self, caption: String, place: String, alt: String) -> Plot {
        let caption_lines = wrapped(&format!("{caption} {place}."), CAPTION_SIZE, WIDTH - 2.0 * MARGIN);
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
        let mut ground = Canvas::default();
        ground.rect((0.0, 0.0, WIDTH, height), PAPER, 1.0, "");
        svg.push_str(&ground.into_string());
        let mut head = Canvas::default();
        let title = fitted(&self.title, TITLE_SIZE, true, WIDTH - 2.0 * MARGIN);
        head.text((MARGIN, 32.0), &title, Type::new(TITLE_SIZE).bold().color(INK));
        let _ = writeln!(svg, "<g class=\"head\">\n{}</g>", head.into_string());
        svg.push_str(&self.canvas.into_string());
        let mut foot = Canvas::default();
        for (position, line) in caption_lines.iter().enumerate() {
            let y = body_end + 24.0 + position as f64 * CAPTION_LINE;
            foot.text((MARGIN, y), line, Type::new(CAPTION_SIZE).color(MUTED));
        }
        let _ = writeln!(svg, "<g class=\"caption\">\n{}</g>\n</svg>", foot.into_string());
        Plot { name: self.name, title: self.title, caption, place, alt, svg }
    }
}
