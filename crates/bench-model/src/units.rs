//! Formats numbers with three significant digits and a unit; names the sizes of frames (24 bits per pixel, no padding).

/// A duration in the unit that keeps its number short, for instance `212 ns`, `63.1 µs` or `1.20 s`.
#[must_use]
pub fn duration(ns: f64) -> String {
    // Each threshold is half of the last digit below the next unit; otherwise 999.7 ns would become "1000 ns".
    match ns {
        ns if ns.abs() < 999.5 => format!("{ns:.0} ns"),
        ns if ns.abs() < 999.5e3 => format!("{} µs", sig3(ns / 1e3)),
        ns if ns.abs() < 999.5e6 => format!("{} ms", sig3(ns / 1e6)),
        ns => format!("{} s", sig3(ns / 1e9)),
    }
}

/// A speed in decimal units, for instance `33.1 MB/s`.
#[must_use]
pub fn speed(bytes_per_second: f64) -> String {
    match bytes_per_second {
        speed if speed < 999.5e3 => format!("{} kB/s", sig3(speed / 1e3)),
        speed if speed < 999.5e6 => format!("{} MB/s", sig3(speed / 1e6)),
        speed => format!("{} GB/s", sig3(speed / 1e9)),
    }
}

/// A number with three significant digits, and no fewer than its integer part has; below 0.1 with two.
#[must_use]
pub fn sig3(value: f64) -> String {
    match value.abs() {
        // Ratios and shares below a millionth do not occur.
        size if (1e-6..0.0995).contains(&size) => {
            let places = (1.0 - size.log10().floor()).max(0.0);
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 3 and 7")]
            let places = places as usize;
            format!("{value:.places$}")
        }
        size if size < 9.995 => format!("{value:.2}"),
        size if size < 99.95 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

/// A ratio with the digits that its interval supports: `122×`, `1.17×`, and `about 135×` if the ends of the interval
/// differ by more than a fifth.
#[must_use]
pub fn factor(ratio: f64, interval: Option<(f64, f64)>) -> String {
    if is_wide(interval) { format!("about {}×", two_digits(ratio)) } else { format!("{}×", ratio_digits(ratio)) }
}

/// [`factor`] with its interval, for instance `about 135× (75–273)`.
#[must_use]
pub fn factor_within(ratio: f64, interval: Option<(f64, f64)>) -> String {
    let within = interval.map_or_else(String::new, |(low, high)| {
        let digits = if is_wide(interval) { two_digits } else { ratio_digits };
        format!(" ({}–{})", digits(low), digits(high))
    });
    factor(ratio, interval) + &within
}

fn is_wide(interval: Option<(f64, f64)>) -> bool {
    interval.is_some_and(|(low, high)| high > low * 1.2)
}

/// Three significant digits, also of a ratio below 1.
fn ratio_digits(value: f64) -> String {
    if value.abs() < 0.995 { two_digits(value) } else { sig3(value) }
}

/// Two significant digits, and no fewer than its integer part has.
fn two_digits(value: f64) -> String {
    match value.abs() {
        size if size >= 9.95 => rounded_thousands(value),
        size if size >= 0.995 => format!("{value:.1}"),
        size if size >= 0.099_5 => format!("{value:.2}"),
        size if size >= 0.009_95 => format!("{value:.3}"),
        size if size >= 0.000_995 => format!("{value:.4}"),
        size if size > 0.0 => format!("{value:.1e}"),
        _ => "0".to_owned(),
    }
}

/// A rate or a count, rounded to an integer, with a comma between thousands. Negative values become 0.
#[must_use]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "rounded and not negative")]
pub fn rounded_thousands(value: f64) -> String {
    thousands(value.max(0.0).round() as u64)
}

/// An integer with a comma between thousands.
#[must_use]
pub fn thousands(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count and its noun, for instance `1 frame` or `1,200 frames`.
#[must_use]
pub fn plural(count: u64, noun: &str) -> String {
    format!("{} {noun}{}", thousands(count), if count == 1 { "" } else { "s" })
}

/// The accelerator as text.
#[must_use]
pub fn acceleration(accel: &str) -> String {
    match accel {
        "tcg" => "under emulation (TCG)".to_owned(),
        "kvm" => "under KVM".to_owned(),
        "" => "acceleration not known".to_owned(),
        other => format!("under {}", other.chars().take(20).collect::<String>()),
    }
}

/// Bytes of a 1920 × 1080 frame.
pub const FRAME_1080P: u64 = 1920 * 1080 * 3;
/// Bytes of a 2560 × 1440 frame.
pub const FRAME_1440P: u64 = 2560 * 1440 * 3;
/// Bytes of a 3840 × 2160 frame.
pub const FRAME_4K: u64 = 3840 * 2160 * 3;

/// The frame's name, or for any other size its bytes in the largest unit that divides them.
#[must_use]
pub fn size_name(bytes: u64) -> String {
    match bytes {
        FRAME_1080P => "1080p".to_owned(),
        FRAME_1440P => "1440p".to_owned(),
        FRAME_4K => "4k".to_owned(),
        bytes => [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")]
            .into_iter()
            .find(|&(unit, _)| bytes >= unit && bytes.is_multiple_of(unit))
            .map_or_else(|| format!("{bytes} B"), |(unit, name)| format!("{} {name}", bytes / unit)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_numbers_keep_significant_digits() {
        let told = [0.005_4, 0.050_1, 0.099_6, 0.5, 0.0, -0.012_34, 1e-9, 0.000_123].map(sig3);
        assert_eq!(told, ["0.0054", "0.050", "0.10", "0.50", "0.00", "-0.012", "0.00", "0.00012"]);
    }

    #[test]
    fn durations_use_a_fitting_unit() {
        let told = [0.0, 212.4, 999.6, 63_123.0, 999_600.0, 4_010_000.0, 745e6, 1.2e9, -312.0].map(duration);
        let expected = ["0 ns", "212 ns", "1.00 µs", "63.1 µs", "1.00 ms", "4.01 ms", "745 ms", "1.20 s", "-312 ns"];
        assert_eq!(told, expected);
    }

    #[test]
    fn speeds_use_decimal_prefixes() {
        assert_eq!([33.1e6, 1.6e9, 12_500.0].map(speed), ["33.1 MB/s", "1.60 GB/s", "12.5 kB/s"]);
    }

    #[test]
    fn rounding_adds_no_digit() {
        assert_eq!([9.994, 9.996, 99.96, 1234.0].map(sig3), ["9.99", "10.0", "100", "1234"]);
    }

    #[test]
    fn ratio_has_the_digits_its_interval_supports() {
        assert_eq!(factor_within(135.4, Some((75.0, 273.2))), "about 135× (75–273)");
        assert_eq!(factor_within(122.3, Some((119.0, 130.0))), "122× (119–130)");
        assert_eq!(factor_within(1.1712, Some((1.1, 1.2))), "1.17× (1.10–1.20)");
        assert_eq!(factor_within(0.0109, Some((0.009_28, 0.040_6))), "about 0.011× (0.0093–0.041)");
        assert_eq!(factor_within(1.9, Some((0.144, 158.0))), "about 1.9× (0.14–158)");
        assert_eq!([factor(1.0, None), factor(12_345.6, Some((1.0, 9e9)))], ["1.00×", "about 12,346×"]);
    }

    #[test]
    fn thousands_are_separated_by_commas() {
        assert_eq!([0, 999, 1_000, 24_883_200].map(thousands), ["0", "999", "1,000", "24,883,200"]);
        assert_eq!([-1.0, 0.5, 14_654.4].map(rounded_thousands), ["0", "1", "14,654"]);
        assert_eq!([plural(1, "frame"), plural(2_000, "frame")], ["1 frame", "2,000 frames"]);
    }

    #[test]
    fn acceleration_has_a_description() {
        assert_eq!(
            ["tcg", "kvm", "", "hvf"].map(acceleration),
            ["under emulation (TCG)", "under KVM", "acceleration not known", "under hvf"]
        );
    }

    #[test]
    fn frames_have_names_and_other_sizes_units() {
        let named = [FRAME_1080P, FRAME_1440P, FRAME_4K, 64, 4096, 1 << 20, 1025, 0].map(size_name);
        assert_eq!(named, ["1080p", "1440p", "4k", "64 B", "4 KiB", "1 MiB", "1025 B", "0 B"]);
    }
}
