//! Writes SVG, as little of it as plots need: no ids, no scripts, no references, so that any number of plots can stand
//! in one page. Colours stand in `style` and nowhere else, where [`themed`](super::themed) finds them.

use std::fmt::Write;

use super::palette::{INK, Marker, PAPER, property};

/// Elements, in the order in which they are painted.
#[derive(Debug, Clone, Default)]
pub(crate) struct Canvas {
    out: String,
}

/// Which point of a text stands at its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

/// How a text looks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Type {
    pub(crate) size: f64,
    pub(crate) bold: bool,
    pub(crate) color: &'static str,
    pub(crate) anchor: Anchor,
    /// Keeps a rim of the ground around the letters, for text on lines.
    pub(crate) halo: bool,
}

impl Type {
    /// Plain text that begins at its place.
    pub(crate) const fn new(size: f64) -> Self {
        Self { size, bold: false, color: INK, anchor: Anchor::Start, halo: false }
    }

    pub(crate) const fn color(self, color: &'static str) -> Self {
        Self { color, ..self }
    }

    pub(crate) const fn anchor(self, anchor: Anchor) -> Self {
        Self { anchor, ..self }
    }

    pub(crate) const fn bold(self) -> Self {
        Self { bold: true, ..self }
    }

    pub(crate) const fn halo(self) -> Self {
        Self { halo: true, ..self }
    }
}

/// How a line looks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stroke {
    pub(crate) color: &'static str,
    pub(crate) width: f64,
    pub(crate) dash: &'static str,
    pub(crate) opacity: f64,
}

impl Stroke {
    pub(crate) const fn new(color: &'static str, width: f64) -> Self {
        Self { color, width, dash: "", opacity: 1.0 }
    }

    pub(crate) const fn dash(self, dash: &'static str) -> Self {
        Self { dash, ..self }
    }

    pub(crate) const fn opacity(self, opacity: f64) -> Self {
        Self { opacity, ..self }
    }

    fn style(self) -> String {
        let mut style = format!("fill:none;stroke:{};stroke-width:{}", self.color, number(self.width));
        if !self.dash.is_empty() {
            let _ = write!(style, ";stroke-dasharray:{}", self.dash);
        }
        if self.opacity < 1.0 {
            let _ = write!(style, ";stroke-opacity:{}", self.opacity);
        }
        style
    }
}

/// A rectangle: left, top, width, height.
pub(crate) type Area = (f64, f64, f64, f64);

/// A place: from the left, from the top.
pub(crate) type Place = (f64, f64);

impl Canvas {
    /// What was drawn.
    pub(crate) fn into_string(self) -> String {
        self.out
    }

    pub(crate) fn text(&mut self, (x, y): Place, text: &str, how: Type) {
        let anchor = match how.anchor {
            Anchor::Start => "",
            Anchor::Middle => " text-anchor=\"middle\"",
            Anchor::End => " text-anchor=\"end\"",
        };
        let bold = if how.bold { " font-weight=\"700\"" } else { "" };
        let halo = if how.halo {
            format!(";paint-order:stroke;stroke:{PAPER};stroke-width:3.5;stroke-linejoin:round")
        } else {
            String::new()
        };
        let _ = writeln!(
            self.out,
            r#"<text x="{}" y="{}" font-size="{}"{bold}{anchor} style="fill:{}{halo}">{}</text>"#,
            number(x),
            number(y),
            number(how.size),
            how.color,
            escaped(text)
        );
    }

    /// A filled rectangle. `hover` is shown to who points at it; empty: nothing.
    pub(crate) fn rect(&mut self, (x, y, width, height): Area, color: &'static str, opacity: f64, hover: &str) {
        let opacity = fill_opacity(opacity);
        let _ = write!(
            self.out,
            r#"<rect x="{}" y="{}" width="{}" height="{}" style="fill:{color}{opacity}""#,
            number(x),
            number(y),
            number(width.max(0.0)),
            number(height.max(0.0)),
        );
        self.close("rect", hover);
    }

    pub(crate) fn line(&mut self, from: Place, to: Place, how: Stroke) {
        let _ = writeln!(
            self.out,
            r#"<path d="M{} {}L{} {}" style="{}"/>"#,
            number(from.0),
            number(from.1),
            number(to.0),
            number(to.1),
            how.style()
        );
    }

    /// Many separate lines of one look.
    pub(crate) fn lines(&mut self, lines: &[(Place, Place)], how: Stroke) {
        if lines.is_empty() {
            return;
        }
        let mut path = String::new();
        for (from, to) in lines {
            let _ = write!(path, "M{} {}L{} {}", number(from.0), number(from.1), number(to.0), number(to.1));
        }
        let _ = writeln!(self.out, r#"<path d="{path}" style="{}"/>"#, how.style());
    }

    /// A line through places.
    pub(crate) fn polyline(&mut self, places: &[Place], how: Stroke) {
        if places.len() > 1 {
            let _ = writeln!(self.out, r#"<path d="{}" style="{};stroke-linejoin:round"/>"#, path(places), how.style());
        }
    }

    /// A filled area between places.
    pub(crate) fn polygon(&mut self, places: &[Place], color: &'static str, opacity: f64) {
        if places.len() > 2 {
            let opacity = fill_opacity(opacity);
            let _ = writeln!(self.out, r#"<path d="{}Z" style="fill:{color}{opacity}"/>"#, path(places));
        }
    }

    /// Many small dots of one colour, as one element: a dot is a line of no length with round ends.
    pub(crate) fn dots(&mut self, places: &[Place], size: f64, color: &'static str, opacity: f64) {
        if places.is_empty() {
            return;
        }
        let mut path = String::new();
        for (x, y) in places {
            let _ = write!(path, "M{} {}h0", number(*x), number(*y));
        }
        let style = Stroke::new(color, size).opacity(opacity).style();
        let _ = writeln!(self.out, r#"<path d="{path}" style="{style};stroke-linecap:round"/>"#);
    }

    /// A point: filled, or a rim around the ground.
    pub(crate) fn marker(&mut self, at: Place, form: Marker, color: &'static str, filled: bool, hover: &str) {
        self.scaled_marker(at, form, (color, filled), 1.0, hover);
    }

    /// The same in a multiple of the usual size.
    pub(crate) fn scaled_marker(
        &mut self,
        at: Place,
        form: Marker,
        (color, filled): (&'static str, bool),
        scale: f64,
        hover: &str,
    ) {
        let (x, y) = at;
        // The ground inside a rim stays when its colour is made transparent, so that it can be told by a class.
        let style = if filled {
            format!(r#"style="fill:{color}""#)
        } else {
            let class = property(color).trim_start_matches('-');
            format!(r#"class="{class}" style="fill:{PAPER};stroke:{color};stroke-width:1.8""#)
        };
        if form == Marker::Circle {
            let _ = write!(
                self.out,
                r#"<circle cx="{}" cy="{}" r="{}" {style}"#,
                number(x),
                number(y),
                number(4.6 * scale)
            );
            self.close("circle", hover);
            return;
        }
        let corners: &[Place] = match form {
            Marker::Circle | Marker::Square => &[(-4.2, -4.2), (4.2, -4.2), (4.2, 4.2), (-4.2, 4.2)],
            Marker::Diamond => &[(0.0, -5.8), (5.8, 0.0), (0.0, 5.8), (-5.8, 0.0)],
            Marker::Up => &[(0.0, -5.4), (5.4, 4.4), (-5.4, 4.4)],
            Marker::Down => &[(0.0, 5.4), (5.4, -4.4), (-5.4, -4.4)],
        };
        let corners: Vec<Place> = corners.iter().map(|(dx, dy)| (x + dx * scale, y + dy * scale)).collect();
        let _ = write!(self.out, r#"<path d="{}Z" {style}"#, path(&corners));
        self.close("path", hover);
    }

    /// An interval with short ends, upright.
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

fn path(places: &[Place]) -> String {
    let mut path = String::with_capacity(places.len() * 12);
    for (position, (x, y)) in places.iter().enumerate() {
        let _ = write!(path, "{}{} {}", if position == 0 { "M" } else { "L" }, number(*x), number(*y));
    }
    path
}

/// To the tenth of a pixel. What is no number is drawn at the edge rather than breaking the file.
pub(crate) fn number(value: f64) -> String {
    let value = if value.is_finite() { value.clamp(-1e5, 1e5) } else { 0.0 };
    let text = format!("{value:.1}");
    match text.strip_suffix(".0") {
        Some("-0") => "0".to_owned(),
        Some(whole) => whole.to_owned(),
        None => text,
    }
}

/// Text as it may stand in an element or an attribute. Some of it comes from the guest, which may lie, so characters
/// that command a reader or are none in XML become spaces. The number sign is escaped too, so that no text looks like a
/// colour.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '#' => out.push_str("&#35;"),
            letter if is_hidden(letter) => out.push(' '),
            letter => out.push(letter),
        }
    }
    out
}

/// Control and direction characters, and those that XML does not have.
fn is_hidden(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        || matches!(letter, '\u{fffe}' | '\u{ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_always_numbers() {
        let told = [0.0, -0.04, 12.0, 3.25, 1e300, f64::NAN, f64::INFINITY, -7.06].map(number);
        assert_eq!(told, ["0", "0", "12", "3.2", "100000", "0", "0", "-7.1"]);
    }

    #[test]
    fn text_cannot_leave_its_place() {
        let told = escaped("</text><script>\u{1b}[2J \u{202e}&'\"#0072b2\u{ffff}");
        assert_eq!(told, "&lt;/text&gt;&lt;script&gt; [2J  &amp;&#39;&quot;&#35;0072b2 ");
    }

    #[test]
    fn a_line_needs_two_places_and_an_area_three() {
        let mut canvas = Canvas::default();
        canvas.polyline(&[(1.0, 1.0)], Stroke::new(INK, 1.0));
        canvas.polygon(&[(1.0, 1.0), (2.0, 2.0)], INK, 1.0);
        canvas.dots(&[], 1.0, INK, 1.0);
        canvas.lines(&[], Stroke::new(INK, 1.0));
        assert_eq!(canvas.into_string(), "");
    }
}
