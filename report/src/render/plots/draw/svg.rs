//! Writes the subset of SVG that the plots need. No ids, scripts or references, so any number of plots fit into one
//! HTML page. Colours occur only in `style` attributes, where [`themed`](super::css_vars::themed) replaces them.

use std::fmt::Write;

use super::palette::{INK, LIMIT, Marker, PAPER, property};
use crate::render::wrap::printable;

/// SVG elements in painting order.
#[derive(Debug, Clone, Default)]
pub(crate) struct SvgWriter {
    out: String,
}

/// Horizontal alignment of a text: SVG's `text-anchor`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TextAnchor {
    Start,
    Middle,
    End,
}

/// Size, weight, colour and alignment of a text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TextStyle {
    pub(crate) size: f64,
    pub(crate) bold: bool,
    pub(crate) color: &'static str,
    pub(crate) anchor: TextAnchor,
    /// Outlines the letters in the background colour, for text over lines.
    pub(crate) halo: bool,
}

impl TextStyle {
    /// Regular text, left-aligned.
    pub(crate) const fn new(size: f64) -> Self {
        Self { size, bold: false, color: INK, anchor: TextAnchor::Start, halo: false }
    }

    pub(crate) const fn color(self, color: &'static str) -> Self {
        Self { color, ..self }
    }

    pub(crate) const fn anchor(self, anchor: TextAnchor) -> Self {
        Self { anchor, ..self }
    }

    pub(crate) const fn bold(self) -> Self {
        Self { bold: true, ..self }
    }

    pub(crate) const fn halo(self) -> Self {
        Self { halo: true, ..self }
    }
}

/// Colour, width and dash of a line.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stroke {
    pub(crate) color: &'static str,
    pub(crate) width: f64,
    pub(crate) dash: &'static str,
}

impl Stroke {
    /// A dashed line that marks a limit.
    pub(crate) const DASHED: Self = Self::new(LIMIT, 1.4).dash("6 4");

    pub(crate) const fn new(color: &'static str, width: f64) -> Self {
        Self { color, width, dash: "" }
    }

    pub(crate) const fn dash(self, dash: &'static str) -> Self {
        Self { dash, ..self }
    }

    fn style(self) -> String {
        let mut style = format!("fill:none;stroke:{};stroke-width:{}", self.color, number(self.width));
        if !self.dash.is_empty() {
            let _ = write!(style, ";stroke-dasharray:{}", self.dash);
        }
        style
    }
}

/// A rectangle: left, top, width, height.
pub(crate) type Rect = (f64, f64, f64, f64);

/// A position: x from the left, y from the top.
pub(crate) type Point = (f64, f64);

impl SvgWriter {
    /// The elements written so far.
    pub(crate) fn into_string(self) -> String {
        self.out
    }

    pub(crate) fn text(&mut self, (x, y): Point, text: &str, style: TextStyle) {
        let anchor = match style.anchor {
            TextAnchor::Start => "",
            TextAnchor::Middle => " text-anchor=\"middle\"",
            TextAnchor::End => " text-anchor=\"end\"",
        };
        let bold = if style.bold { " font-weight=\"700\"" } else { "" };
        let halo = if style.halo {
            format!(";paint-order:stroke;stroke:{PAPER};stroke-width:3.5;stroke-linejoin:round")
        } else {
            String::new()
        };
        let (x, y, size, color, text) = (number(x), number(y), number(style.size), style.color, escaped(text));
        let _ = writeln!(
            self.out,
            r#"<text x="{x}" y="{y}" font-size="{size}"{bold}{anchor} style="fill:{color}{halo}">{text}</text>"#
        );
    }

    /// A filled rectangle. `hover` becomes its tooltip unless empty.
    pub(crate) fn rect(&mut self, (x, y, width, height): Rect, color: &'static str, opacity: f64, hover: &str) {
        let [x, y, width, height] = [x, y, width.max(0.0), height.max(0.0)].map(number);
        let opacity = fill_opacity(opacity);
        let _ = write!(
            self.out,
            r#"<rect x="{x}" y="{y}" width="{width}" height="{height}" style="fill:{color}{opacity}""#
        );
        self.close("rect", hover);
    }

    pub(crate) fn line(&mut self, from: Point, to: Point, stroke: Stroke) {
        self.lines(&[(from, to)], stroke);
    }

    /// Unconnected lines of one style, as one element.
    pub(crate) fn lines(&mut self, lines: &[(Point, Point)], stroke: Stroke) {
        if !lines.is_empty() {
            let path: String = lines.iter().map(|(from, to)| path(&[*from, *to])).collect();
            let _ = writeln!(self.out, r#"<path d="{path}" style="{}"/>"#, stroke.style());
        }
    }

    /// A polyline.
    pub(crate) fn polyline(&mut self, points: &[Point], stroke: Stroke) {
        if points.len() > 1 {
            let _ =
                writeln!(self.out, r#"<path d="{}" style="{};stroke-linejoin:round"/>"#, path(points), stroke.style());
        }
    }

    /// A filled polygon.
    pub(crate) fn polygon(&mut self, points: &[Point], color: &'static str, opacity: f64) {
        if points.len() > 2 {
            let opacity = fill_opacity(opacity);
            let _ = writeln!(self.out, r#"<path d="{}Z" style="fill:{color}{opacity}"/>"#, path(points));
        }
    }

    /// Dots of one colour, as one element: zero-length lines with round caps.
    pub(crate) fn dots(&mut self, points: &[Point], size: f64, color: &'static str, opacity: f64) {
        if !points.is_empty() {
            let path: String = points.iter().map(|point| path(&[*point]) + "h0").collect();
            let style = Stroke::new(color, size).style();
            let opacity = if opacity < 1.0 { format!(";stroke-opacity:{opacity}") } else { String::new() };
            let _ = writeln!(self.out, r#"<path d="{path}" style="{style}{opacity};stroke-linecap:round"/>"#);
        }
    }

    /// A marker, filled or hollow, scaled by a factor.
    pub(crate) fn marker(
        &mut self,
        at: Point,
        marker: Marker,
        (color, filled): (&'static str, bool),
        scale: f64,
        hover: &str,
    ) {
        let (x, y) = at;
        // The page hides a mode by making its colour transparent. The fill of a hollow marker would stay visible, so it
        // carries a class that the page can hide.
        let style = if filled {
            format!(r#"style="fill:{color}""#)
        } else {
            let class = property(color).trim_start_matches('-');
            format!(r#"class="{class}" style="fill:{PAPER};stroke:{color};stroke-width:1.8""#)
        };
        if marker == Marker::Circle {
            let [x, y, radius] = [x, y, 4.6 * scale].map(number);
            let _ = write!(self.out, r#"<circle cx="{x}" cy="{y}" r="{radius}" {style}"#);
            self.close("circle", hover);
            return;
        }
        let corners: &[Point] = match marker {
            Marker::Circle | Marker::Square => &[(-4.2, -4.2), (4.2, -4.2), (4.2, 4.2), (-4.2, 4.2)],
            Marker::Diamond => &[(0.0, -5.8), (5.8, 0.0), (0.0, 5.8), (-5.8, 0.0)],
            Marker::Up => &[(0.0, -5.4), (5.4, 4.4), (-5.4, 4.4)],
            Marker::Down => &[(0.0, 5.4), (5.4, -4.4), (-5.4, -4.4)],
        };
        let corners: Vec<Point> = corners.iter().map(|(dx, dy)| (x + dx * scale, y + dy * scale)).collect();
        let _ = write!(self.out, r#"<path d="{}Z" {style}"#, path(&corners));
        self.close("path", hover);
    }

    /// A vertical error bar.
    pub(crate) fn whisker(&mut self, x: f64, low: f64, high: f64, color: &'static str) {
        let ends = [((x, low), (x, high)), ((x - 3.5, low), (x + 3.5, low)), ((x - 3.5, high), (x + 3.5, high))];
        self.lines(&ends, Stroke::new(color, 1.4));
    }

    fn close(&mut self, element: &str, hover: &str) {
        if hover.is_empty() {
            self.out.push_str("/>\n");
        } else {
            let _ = writeln!(self.out, "><title>{}</title></{element}>", escaped(hover));
        }
    }
}

fn fill_opacity(opacity: f64) -> String {
    if opacity < 1.0 { format!(";fill-opacity:{opacity}") } else { String::new() }
}

fn path(points: &[Point]) -> String {
    let mut path = String::with_capacity(points.len() * 12);
    for (position, (x, y)) in points.iter().enumerate() {
        let _ = write!(path, "{}{} {}", if position == 0 { "M" } else { "L" }, number(*x), number(*y));
    }
    path
}

/// Rounds to a tenth of a pixel. NaN and infinities would make the file invalid; they become 0.
pub(crate) fn number(value: f64) -> String {
    let value = if value.is_finite() { value.clamp(-1e5, 1e5) } else { 0.0 };
    let text = format!("{value:.1}");
    match text.strip_suffix(".0") {
        Some("-0") => "0".to_owned(),
        Some(whole) => whole.to_owned(),
        None => text,
    }
}

/// Escapes text for an element or attribute. Strings from the guest are untrusted: control and direction characters,
/// and characters that XML forbids, become spaces. `#` is escaped, because no text may match a colour.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in printable(text).chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '#' => out.push_str("&#35;"),
            '\u{fffe}' | '\u{ffff}' => out.push(' '),
            letter => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_finite() {
        let text = [0.0, -0.04, 12.0, 3.25, 1e300, f64::NAN, f64::INFINITY, -7.06].map(number);
        assert_eq!(text, ["0", "0", "12", "3.2", "100000", "0", "0", "-7.1"]);
    }

    #[test]
    fn escapes_markup_colours_and_control_characters() {
        let text = escaped("</text><script>\u{1b}[2J \u{202e}&'\"#0072b2\u{ffff}");
        assert_eq!(text, "&lt;/text&gt;&lt;script&gt; [2J  &amp;&#39;&quot;&#35;0072b2 ");
    }

    #[test]
    fn line_needs_two_points_and_polygon_three() {
        let mut svg = SvgWriter::default();
        svg.polyline(&[(1.0, 1.0)], Stroke::new(INK, 1.0));
        svg.polygon(&[(1.0, 1.0), (2.0, 2.0)], INK, 1.0);
        svg.dots(&[], 1.0, INK, 1.0);
        svg.lines(&[], Stroke::new(INK, 1.0));
        assert_eq!(svg.into_string(), "");
    }
}
