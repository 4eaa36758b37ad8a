//! Colours: one per way to wait, the same in every plot, told apart with any colour vision; each way has a marker and a
//! dash as well, so that no plot rests on colour alone.
//!
//! Ways to wait alike on both sides have the blue, vermilion and green of Okabe and Ito's set; the mixed ones have
//! hues between them. The copies of a frame are two blue-greens, its hash a grey, and
//! the notification, usually a thin line, amber; no wait mode has these.

use bench_model::WaitMode;

/// A colour of the plots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Swatch {
    /// The CSS custom property that [`themed`](super::themed) puts in its place.
    pub property: &'static str,
    /// As it stands in a plot, on white.
    pub light: &'static str,
    /// The same on the dark value of `--paper`.
    pub dark: &'static str,
}

const fn swatch(property: &'static str, light: &'static str, dark: &'static str) -> Swatch {
    Swatch { property, light, dark }
}

/// Text and axes.
pub(crate) const INK: &str = "#1f2328";
/// Text that explains.
pub(crate) const MUTED: &str = "#57606a";
/// Lines behind the data.
pub(crate) const GRID: &str = "#dfe3e8";
/// A shade behind every other stretch.
pub(crate) const SHADE: &str = "#f4f6f8";
/// The ground.
pub(crate) const PAPER: &str = "#ffffff";
/// A bound that nothing passes.
pub(crate) const LIMIT: &str = "#6e7781";
/// The host's write of a frame.
pub(crate) const WRITE: &str = "#1b4965";
/// From announcing a frame until the guest knows.
pub(crate) const NOTIFY: &str = "#b07d00";
/// The guest's read of a frame.
pub(crate) const READ: &str = "#3f8a8c";
/// The guest's SHA-256 of a frame.
pub(crate) const VERIFY: &str = "#8a959f";

/// Every colour that a plot may have. No two are alike, so that one can be told by its value.
pub const PALETTE: [Swatch; 19] = [
    swatch("--ink", INK, "#e6edf3"),
    swatch("--muted", MUTED, "#9aa4b0"),
    swatch("--grid", GRID, "#30363d"),
    swatch("--shade", SHADE, "#1b2129"),
    swatch("--paper", PAPER, "#0f141a"),
    swatch("--limit", LIMIT, "#8b949e"),
    swatch("--mode-poll", "#0072b2", "#58a6e8"),
    swatch("--mode-irq", "#d55e00", "#f08a3c"),
    swatch("--mode-hybrid", "#008f68", "#2fc297"),
    swatch("--mode-mixed-1", "#332288", "#9d8df1"),
    swatch("--mode-mixed-2", "#2b8ca3", "#67c9dd"),
    swatch("--mode-mixed-3", "#a8701a", "#e2b355"),
    swatch("--mode-mixed-4", "#882255", "#e0709f"),
    swatch("--mode-mixed-5", "#5f7d1f", "#a9c95a"),
    swatch("--mode-mixed-6", "#7a5c4f", "#c9a797"),
    swatch("--phase-write", WRITE, "#7fb2d9"),
    swatch("--phase-notify", NOTIFY, "#f2c94c"),
    swatch("--phase-read", READ, "#45a19d"),
    swatch("--phase-verify", VERIFY, "#7a8794"),
];

/// The custom property of a colour.
pub(crate) fn property(color: &str) -> &'static str {
    PALETTE.iter().find(|swatch| swatch.light == color).map_or("", |swatch| swatch.property)
}

/// The form of a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Marker {
    Circle,
    Square,
    Diamond,
    Up,
    Down,
}

/// How a way to wait looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Look {
    pub(crate) color: &'static str,
    pub(crate) marker: Marker,
    /// SVG's `stroke-dasharray`; empty: solid.
    pub(crate) dash: &'static str,
}

/// The looks in the palette's order: alike on both sides, then mixed.
const LOOKS: [(Marker, &str); 9] = [
    (Marker::Circle, ""),
    (Marker::Square, ""),
    (Marker::Diamond, ""),
    (Marker::Up, "8 3"),
    (Marker::Down, "8 3"),
    (Marker::Up, "3 3"),
    (Marker::Down, "3 3"),
    (Marker::Square, "8 3 2 3"),
    (Marker::Circle, "8 3 2 3"),
];

/// Where the first way to wait stands in [`PALETTE`].
const FIRST_MODE: usize = 6;

/// How a pair of ways to wait looks.
pub(crate) fn look(host: WaitMode, guest: WaitMode) -> Look {
    let position = match (host, guest) {
        (WaitMode::Poll, WaitMode::Poll) => 0,
        (WaitMode::Irq, WaitMode::Irq) => 1,
        (WaitMode::Hybrid, WaitMode::Hybrid) => 2,
        (WaitMode::Poll, WaitMode::Irq) => 3,
        (WaitMode::Poll, WaitMode::Hybrid) => 4,
        (WaitMode::Irq, WaitMode::Poll) => 5,
        (WaitMode::Irq, WaitMode::Hybrid) => 6,
        (WaitMode::Hybrid, WaitMode::Poll) => 7,
        (WaitMode::Hybrid, WaitMode::Irq) => 8,
    };
    let (marker, dash) = LOOKS[position];
    Look { color: PALETTE[FIRST_MODE + position].light, marker, dash }
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

    /// What people without red (0) or green (1) cones see (Viénot, Brettel and Mollon 1999), in linear light.
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

    /// A distance in CIE L*a*b*.
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
    fn text_and_data_stand_out_from_the_ground_in_light_and_dark() {
        let paper = PALETTE[4];
        for Swatch { property, light, dark } in PALETTE {
            let least = match property {
                "--ink" | "--muted" => 4.5,
                "--grid" | "--shade" | "--paper" => continue,
                _ => 3.0,
            };
            let seen = (contrast(light, paper.light), contrast(dark, paper.dark));
            assert!(seen.0 >= least && seen.1 >= least, "{property}: {seen:?}");
        }
    }

    #[test]
    fn the_ways_to_wait_differ_for_every_colour_vision() {
        let modes = &PALETTE[FIRST_MODE..FIRST_MODE + 3];
        for (at, one) in modes.iter().enumerate() {
            for other in &modes[at + 1..] {
                for (a, b) in [(one.light, other.light), (one.dark, other.dark)] {
                    for cone in [0, 1] {
                        let seen = distance(without(cone, linear(a)), without(cone, linear(b)));
                        assert!(seen > 15.0, "{} and {}: {seen}", one.property, other.property);
                    }
                }
            }
        }
    }

    #[test]
    fn every_pair_of_ways_has_a_look_of_its_own() {
        let waits = [WaitMode::Poll, WaitMode::Irq, WaitMode::Hybrid];
        let looks: Vec<Look> = waits.into_iter().flat_map(|host| waits.map(|guest| look(host, guest))).collect();
        for (at, one) in looks.iter().enumerate() {
            assert!(looks[at + 1..].iter().all(|other| other.color != one.color && other != one));
        }
    }

    #[test]
    fn a_colour_can_be_told_by_its_value() {
        for (at, one) in PALETTE.iter().enumerate() {
            assert!(PALETTE[at + 1..].iter().all(|other| other.light != one.light && other.property != one.property));
            assert!(one.light.len() == 7 && one.dark.len() == 7 && one.light.to_lowercase() == one.light);
        }
    }
}
