//! Colours, markers and dashes: one set per wait mode, the same in every plot. Modes differ for every colour vision,
//! and by marker and dash without colour.
//!
//! poll, irq and hybrid on both sides have the blue, vermilion and green of Okabe and Ito's set; mixed modes have hues
//! between them. Frame phases have colours of their own: blue-greens for the copies, amber for the notification, grey
//! for the hash.

use bench_model::WaitMode;
use bench_model::samples::mode_name;

/// A colour of the plots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Color {
    /// The CSS custom property that [`themed`](super::css_vars::themed) inserts.
    pub property: &'static str,
    /// On white.
    pub light: &'static str,
    /// On the dark value of `--paper`.
    pub dark: &'static str,
}

const fn color(property: &'static str, light: &'static str, dark: &'static str) -> Color {
    Color { property, light, dark }
}

/// Text and axes.
pub(crate) const INK: &str = "#1f2328";
/// Secondary text.
pub(crate) const MUTED: &str = "#57606a";
/// Grid lines.
pub(crate) const GRID: &str = "#dfe3e8";
/// Background of every other block.
pub(crate) const SHADE: &str = "#f4f6f8";
/// Background.
pub(crate) const PAPER: &str = "#ffffff";
/// Limits and axis lines.
pub(crate) const LIMIT: &str = "#6e7781";
/// The host's write of a frame.
pub(crate) const WRITE: &str = "#1b4965";
/// From ringing until the guest sees the frame.
pub(crate) const NOTIFY: &str = "#b07d00";
/// The guest's read of a frame.
pub(crate) const READ: &str = "#3f8a8c";
/// The guest's SHA-256 of a frame.
pub(crate) const VERIFY: &str = "#8a959f";

/// Every colour of the plots. All values differ, because [`themed`](super::css_vars::themed) finds them by value.
pub const PALETTE: [Color; 19] = [
    color("--ink", INK, "#e6edf3"),
    color("--muted", MUTED, "#9aa4b0"),
    color("--grid", GRID, "#30363d"),
    color("--shade", SHADE, "#1b2129"),
    color("--paper", PAPER, "#0f141a"),
    color("--limit", LIMIT, "#8b949e"),
    color("--mode-poll", "#0072b2", "#58a6e8"),
    color("--mode-irq", "#d55e00", "#f08a3c"),
    color("--mode-hybrid", "#008f68", "#2fc297"),
    color("--mode-mixed-1", "#332288", "#9d8df1"),
    color("--mode-mixed-2", "#2b8ca3", "#67c9dd"),
    color("--mode-mixed-3", "#a8701a", "#e2b355"),
    color("--mode-mixed-4", "#882255", "#e0709f"),
    color("--mode-mixed-5", "#5f7d1f", "#a9c95a"),
    color("--mode-mixed-6", "#7a5c4f", "#c9a797"),
    color("--phase-write", WRITE, "#7fb2d9"),
    color("--phase-notify", NOTIFY, "#f2c94c"),
    color("--phase-read", READ, "#45a19d"),
    color("--phase-verify", VERIFY, "#7a8794"),
];

/// The custom property of a colour.
pub(crate) fn property(color: &str) -> &'static str {
    PALETTE.iter().find(|entry| entry.light == color).map_or("", |entry| entry.property)
}

/// Marker shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Marker {
    Circle,
    Square,
    Diamond,
    Up,
    Down,
}

/// Colour, marker and dash of a wait mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SeriesStyle {
    pub(crate) color: &'static str,
    pub(crate) marker: Marker,
    /// SVG's `stroke-dasharray`; empty: solid.
    pub(crate) dash: &'static str,
}

/// Marker and dash of each pair of wait modes, in the order of the palette: same mode on both sides, then mixed.
const STYLES: [(WaitMode, WaitMode, Marker, &str); 9] = [
    (WaitMode::Poll, WaitMode::Poll, Marker::Circle, ""),
    (WaitMode::Irq, WaitMode::Irq, Marker::Square, ""),
    (WaitMode::Hybrid, WaitMode::Hybrid, Marker::Diamond, ""),
    (WaitMode::Poll, WaitMode::Irq, Marker::Up, "8 3"),
    (WaitMode::Poll, WaitMode::Hybrid, Marker::Down, "8 3"),
    (WaitMode::Irq, WaitMode::Poll, Marker::Up, "3 3"),
    (WaitMode::Irq, WaitMode::Hybrid, Marker::Down, "3 3"),
    (WaitMode::Hybrid, WaitMode::Poll, Marker::Square, "8 3 2 3"),
    (WaitMode::Hybrid, WaitMode::Irq, Marker::Circle, "8 3 2 3"),
];

/// Index of the first wait mode in [`PALETTE`].
const FIRST_MODE: usize = 6;

/// The style of a pair of wait modes.
pub(crate) fn series_style(host: WaitMode, guest: WaitMode) -> SeriesStyle {
    let mut styles = STYLES.into_iter().enumerate();
    let found = styles.find(|(_, (of_host, of_guest, ..))| (*of_host, *of_guest) == (host, guest));
    let (position, (_, _, marker, dash)) = found.expect("every pair has a style");
    SeriesStyle { color: PALETTE[FIRST_MODE + position].light, marker, dash }
}

/// The CSS class of a wait mode.
pub(crate) fn mode_class(mode: &str) -> &'static str {
    let position = STYLES.iter().position(|(host, guest, ..)| mode_name(*host, *guest) == mode);
    position.map_or("mode-other", |position| PALETTE[FIRST_MODE + position].property.trim_start_matches('-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channels(hex: &str) -> [f64; 3] {
        [1, 3, 5].map(|at| f64::from(u8::from_str_radix(&hex[at..at + 2], 16).expect("two hex digits")) / 255.0)
    }

    /// Linear light, as WCAG 2.2 defines it.
    fn linear(hex: &str) -> [f64; 3] {
        channels(hex).map(|c| if c <= 0.040_45 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) })
    }

    fn contrast(one: &str, other: &str) -> f64 {
        let luminance = |hex| {
            let [r, g, b] = linear(hex);
            0.2126 * r + 0.7152 * g + 0.0722 * b
        };
        let (a, b) = (luminance(one), luminance(other));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    fn product(matrix: [[f64; 3]; 3], vector: [f64; 3]) -> [f64; 3] {
        matrix.map(|row| row.iter().zip(vector).map(|(factor, value)| factor * value).sum())
    }

    /// Simulates missing red (0) or green (1) cones (Viénot, Brettel and Mollon 1999), in linear light.
    fn without(cone: usize, light: [f64; 3]) -> [f64; 3] {
        let to_cones = [[17.8824, 43.5161, 4.1194], [3.4557, 27.1554, 3.8671], [0.0300, 0.1843, 1.4671]];
        let from_cones = [[0.0809, -0.1305, 0.1167], [-0.0102, 0.0540, -0.1136], [-0.0003, -0.0041, 0.6935]];
        let [long, medium, short] = product(to_cones, light);
        let left = match cone {
            0 => [2.0234 * medium - 2.5258 * short, medium, short],
            _ => [long, 0.4942 * long + 1.2483 * short, short],
        };
        product(from_cones, left)
    }

    /// Distance in CIE L*a*b*.
    fn distance(one: [f64; 3], other: [f64; 3]) -> f64 {
        let lab = |[r, g, b]: [f64; 3]| {
            let f = |t: f64| if t > 0.008_856 { t.cbrt() } else { 7.787 * t + 16.0 / 116.0 };
            let x = f((0.4124 * r + 0.3576 * g + 0.1805 * b) / 0.9505);
            let y = f(0.2126 * r + 0.7152 * g + 0.0722 * b);
            let z = f((0.0193 * r + 0.1192 * g + 0.9505 * b) / 1.089);
            [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)]
        };
        lab(one).iter().zip(lab(other)).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
    }

    #[test]
    fn colours_contrast_with_light_and_dark_background() {
        let paper = PALETTE[4];
        for Color { property, light, dark } in PALETTE {
            let min = match property {
                "--ink" | "--muted" => 4.5,
                "--grid" | "--shade" | "--paper" => continue,
                _ => 3.0,
            };
            let contrasts = (contrast(light, paper.light), contrast(dark, paper.dark));
            assert!(contrasts.0 >= min && contrasts.1 >= min, "{property}: {contrasts:?}");
        }
    }

    #[test]
    fn modes_differ_for_every_colour_vision() {
        let modes = &PALETTE[FIRST_MODE..FIRST_MODE + 3];
        for (at, one) in modes.iter().enumerate() {
            for other in &modes[at + 1..] {
                for (a, b) in [(one.light, other.light), (one.dark, other.dark)] {
                    for cone in [0, 1] {
                        let difference = distance(without(cone, linear(a)), without(cone, linear(b)));
                        assert!(difference > 15.0, "{} and {}: {difference}", one.property, other.property);
                    }
                }
            }
        }
    }

    #[test]
    fn every_mode_has_a_distinct_style() {
        let waits = [WaitMode::Poll, WaitMode::Irq, WaitMode::Hybrid];
        let styles: Vec<SeriesStyle> =
            waits.into_iter().flat_map(|host| waits.map(|guest| series_style(host, guest))).collect();
        for (at, one) in styles.iter().enumerate() {
            assert!(styles[at + 1..].iter().all(|other| other.color != one.color && other != one));
        }
    }

    #[test]
    fn colour_values_are_unique() {
        for (at, one) in PALETTE.iter().enumerate() {
            assert!(PALETTE[at + 1..].iter().all(|other| other.light != one.light && other.property != one.property));
            assert!(one.light.len() == 7 && one.dark.len() == 7 && one.light.to_lowercase() == one.light);
        }
    }
}
