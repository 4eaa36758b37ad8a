//! Numbers for people: three significant digits, the unit beside each.

/// A duration in the unit that keeps its number short, for instance `212 ns`, `63.1 µs` or `1.20 s`.
#[must_use]
pub fn duration(ns: f64) -> String {
    // The steps lie below the next unit by half of the last digit, so that 999.7 ns does not become "1000 ns".
    match ns {
        ns if ns.abs() < 999.5 => format!("{ns:.0} ns"),
        ns if ns.abs() < 999.5e3 => format!("{} µs", three_digits(ns / 1e3)),
        ns if ns.abs() < 999.5e6 => format!("{} ms", three_digits(ns / 1e6)),
        ns => format!("{} s", three_digits(ns / 1e9)),
    }
}

/// A speed in decimal units, for instance `33.1 MB/s`.
#[must_use]
pub fn speed(bytes_per_second: f64) -> String {
    match bytes_per_second {
        speed if speed < 999.5e3 => format!("{} kB/s", three_digits(speed / 1e3)),
        speed if speed < 999.5e6 => format!("{} MB/s", three_digits(speed / 1e6)),
        speed => format!("{} GB/s", three_digits(speed / 1e9)),
    }
}

/// A number with three significant digits, and no fewer than its integer part has; below 0.1 with two.
#[must_use]
pub fn three_digits(value: f64) -> String {
    match value.abs() {
        // What is smaller than a millionth is nothing that a ratio or a share here could be.
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

/// An integer with a comma between thousands.
#[must_use]
pub fn grouped(value: u64) -> String {
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
pub fn counted(count: u64, noun: &str) -> String {
    format!("{} {noun}{}", grouped(count), if count == 1 { "" } else { "s" })
}

/// How the guest was run, as its monitor names it, in words.
#[must_use]
pub fn acceleration(accel: &str) -> String {
    match accel {
        "tcg" => "under emulation (TCG)".to_owned(),
        "kvm" => "under KVM".to_owned(),
        "" => "acceleration not known".to_owned(),
        other => format!("under {}", other.chars().take(20).collect::<String>()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_numbers_keep_digits_that_say_something() {
        let told = [0.005_4, 0.050_1, 0.099_6, 0.5, 0.0, -0.012_34, 1e-9, 0.000_123].map(three_digits);
        assert_eq!(told, ["0.0054", "0.050", "0.10", "0.50", "0.00", "-0.012", "0.00", "0.00012"]);
    }

    #[test]
    fn each_duration_takes_its_own_unit() {
        let told = [0.0, 212.4, 999.6, 63_123.0, 999_600.0, 4_010_000.0, 745e6, 1.2e9, -312.0].map(duration);
        let expected = ["0 ns", "212 ns", "1.00 µs", "63.1 µs", "1.00 ms", "4.01 ms", "745 ms", "1.20 s", "-312 ns"];
        assert_eq!(told, expected);
    }

    #[test]
    fn speeds_are_decimal() {
        assert_eq!([33.1e6, 1.6e9, 12_500.0].map(speed), ["33.1 MB/s", "1.60 GB/s", "12.5 kB/s"]);
    }

    #[test]
    fn digits_do_not_grow_by_rounding() {
        assert_eq!([9.994, 9.996, 99.96, 1234.0].map(three_digits), ["9.99", "10.0", "100", "1234"]);
    }

    #[test]
    fn thousands_are_parted() {
        assert_eq!([0, 999, 1_000, 24_883_200].map(grouped), ["0", "999", "1,000", "24,883,200"]);
        assert_eq!([counted(1, "frame"), counted(2_000, "frame")], ["1 frame", "2,000 frames"]);
    }

    #[test]
    fn acceleration_is_told_in_words() {
        assert_eq!(
            ["tcg", "kvm", "", "hvf"].map(acceleration),
            ["under emulation (TCG)", "under KVM", "acceleration not known", "under hvf"]
        );
    }
}
