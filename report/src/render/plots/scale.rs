//! From values to places: linear, logarithmic, and the percentiles' axis of nines. Each scale knows where its ticks
//! are and what they say.

use bench_model::units::thousands;

/// What the values of an axis are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Nanoseconds.
    Time,
    /// Bytes per second.
    Speed,
    /// Events per second, which the axis' title says.
    Rate,
    /// A share of all, from 0 to 1.
    Share,
    /// Bytes.
    Size,
    /// Numbers without a unit.
    Count,
}

/// A place on an axis that is named.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tick {
    pub(crate) value: f64,
    /// Empty: a line without a name.
    pub(crate) label: String,
}

/// A map from values to the stretch from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Scale {
    /// Equal steps.
    Linear { low: f64, high: f64 },
    /// Equal ratios.
    Log { low: f64, high: f64 },
    /// Percentiles, from 0 on, as shares; each further nine takes as much room as the one before.
    Nines { last: f64 },
}

/// The least ratio of a logarithmic scale's ends: below it, noise fills the plot.
const MIN_RATIO: f64 = 3.0;

impl Scale {
    /// From 0 to a little beyond the largest value.
    pub(crate) fn from_zero(values: impl IntoIterator<Item = f64>) -> Self {
        let high = finite(values).fold(0.0, f64::max);
        Self::Linear { low: 0.0, high: if high > 0.0 { high * 1.08 } else { 1.0 } }
    }

    /// From a little below the least value to a little above the largest. Nothing lies below 0.
    pub(crate) fn around(values: impl IntoIterator<Item = f64>) -> Self {
        let (low, high) = ends(values).unwrap_or((0.0, 1.0));
        let room = ((high - low) * 0.05).max(high * 0.01).max(1.0);
        Self::Linear { low: (low - room).max(0.0), high: high + room }
    }

    /// Logarithmic, with room on both sides. Values below `least` are drawn at it.
    pub(crate) fn log(values: impl IntoIterator<Item = f64>, least: f64) -> Self {
        let (low, high) = ends(values).unwrap_or((least, least * 10.0));
        let (low, high) = (low.max(least), high.max(least));
        let missing = (MIN_RATIO / (high / low)).max(1.0).sqrt();
        let room = (high / low).powf(0.04).max(1.05) * missing;
        Self::Log { low: low / room, high: high * room }
    }

    /// Where a value lies, from 0 to 1; beyond the ends: at them.
    pub(crate) fn at(self, value: f64) -> f64 {
        let place = match self {
            Self::Linear { low, high } => (value - low) / (high - low),
            Self::Log { low, high } => (value.max(low) / low).ln() / (high / low).ln(),
            Self::Nines { last } => nines(value.min(last)) / nines(last),
        };
        if place.is_finite() { place.clamp(0.0, 1.0) } else { 0.0 }
    }

    /// The ticks, at most about `most` of them with a name.
    pub(crate) fn ticks(self, unit: Unit, most: usize) -> Vec<Tick> {
        match self {
            Self::Linear { low, high } => linear_ticks(low, high, unit, most.max(2)),
            Self::Log { low, high } => log_ticks(low, high, unit, most.max(2)),
            Self::Nines { last } => nines_ticks(last),
        }
    }
}

fn finite(values: impl IntoIterator<Item = f64>) -> impl Iterator<Item = f64> {
    values.into_iter().filter(|value| value.is_finite())
}

/// The least and the largest.
fn ends(values: impl IntoIterator<Item = f64>) -> Option<(f64, f64)> {
    finite(values).fold(None, |ends, value| match ends {
        None => Some((value, value)),
        Some((low, high)) => Some((value.min(low), value.max(high))),
    })
}

fn nines(share: f64) -> f64 {
    -(1.0 - share).log10()
}

fn linear_ticks(low: f64, high: f64, unit: Unit, most: usize) -> Vec<Tick> {
    // Between one operation and the next there is none.
    let least = if unit == Unit::Count { 1.0 } else { 0.0 };
    let raw = ((high - low) / most as f64).max(least);
    let magnitude = 10_f64.powf(raw.log10().floor());
    let is_step = |step: f64| unit != Unit::Count || step.fract() == 0.0;
    let step = [1.0, 2.0, 2.5, 5.0, 10.0]
        .into_iter()
        .map(|factor| factor * magnitude)
        .find(|step| *step >= raw && is_step(*step));
    let Some(step) = step.filter(|step| step.is_finite() && *step > 0.0) else { return Vec::new() };
    let first = (low / step).ceil();
    let values = (0..=most + 1).map(|position| (first + position as f64) * step);
    // One unit for the whole axis: that of its largest value.
    values
        .filter(|value| *value <= high * (1.0 + 1e-9))
        .map(|value| Tick { value, label: label_like(value, high, unit) })
        .collect()
}

fn log_ticks(low: f64, high: f64, unit: Unit, most: usize) -> Vec<Tick> {
    let decades = (high / low).log10();
    let (from, to) = (low.log10().floor(), high.log10().ceil());
    let powers = high.log10().floor() - low.log10().ceil() + 1.0;
    // From a single name nobody learns the scale. Decades are all named where there is room; where there are few, the steps between them are as well.
    let every = (decades / most as f64).ceil().max(1.0);
    let factors: &[f64] = match decades {
        decades if decades < 0.8 => &[1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0],
        decades if decades * 3.0 <= most as f64 || powers < 2.0 => &[1.0, 2.0, 5.0],
        _ => &[1.0],
    };
    let mut ticks = Vec::new();
    let mut exponent = from;
    while exponent <= to && ticks.len() < 400 {
        for factor in 1..10 {
            let share = f64::from(factor);
            let named = factors.contains(&share) && exponent.rem_euclid(every) == 0.0;
            // Lines without a name only where they can be told apart.
            if named || (factors.len() == 1 && every < 2.0 && decades < 6.0) || factors.len() > 1 {
                let value = share * 10_f64.powf(exponent);
                let label = if named { label(value, unit) } else { String::new() };
                ticks.push(Tick { value, label });
            }
        }
        if factors.contains(&1.5) {
            let value = 1.5 * 10_f64.powf(exponent);
            ticks.push(Tick { value, label: label(value, unit) });
        }
        exponent += 1.0;
    }
    ticks.retain(|tick| (low..=high).contains(&tick.value));
    ticks.sort_by(|one, other| one.value.total_cmp(&other.value));
    ticks
}

fn nines_ticks(last: f64) -> Vec<Tick> {
    let all = [
        (0.0, "0"),
        (0.5, "p50"),
        (0.9, "p90"),
        (0.99, "p99"),
        (0.999, "p99.9"),
        (0.9999, "p99.99"),
        (0.99999, "p99.999"),
    ];
    let shown = all.into_iter().filter(|(share, _)| *share <= last + 1e-12);
    shown.map(|(value, label)| Tick { value, label: label.to_owned() }).collect()
}

/// A value with its unit, as short as it can be.
pub(crate) fn label(value: f64, unit: Unit) -> String {
    label_like(value, value, unit)
}

/// A value in the unit that suits `like`.
fn label_like(value: f64, like: f64, unit: Unit) -> String {
    let steps: &[(f64, &str)] = match unit {
        Unit::Time => &[(1e9, " s"), (1e6, " ms"), (1e3, " µs"), (1.0, " ns")],
        Unit::Speed => &[(1e9, " GB/s"), (1e6, " MB/s"), (1e3, " kB/s"), (1.0, " B/s")],
        Unit::Rate => &[(1e6, " M"), (1e3, " k"), (1.0, "")],
        Unit::Size => &[(1_048_576.0, " MiB"), (1_024.0, " KiB"), (1.0, " B")],
        Unit::Share => return format!("{} %", plain(value * 100.0)),
        Unit::Count => &[(1.0, "")],
    };
    if value == 0.0 {
        return "0".to_owned();
    }
    // By a hair below the unit, since powers of ten are not exact.
    let chosen = steps.iter().find(|(size, _)| like.abs() >= size * (1.0 - 1e-9)).or(steps.last());
    let (size, name) = *chosen.unwrap_or(&(1.0, ""));
    format!("{}{name}", plain(value / size))
}

/// A number without digits that say nothing.
fn plain(value: f64) -> String {
    let size = value.abs();
    if size >= 1e7 || (size < 1e-4 && size > 0.0) {
        return format!("{value:.0e}").replace('e', "×10^");
    }
    if size >= 1_000.0 && (value - value.round()).abs() < 1e-6 {
        let whole = thousands(super::data::whole(size));
        return if value < 0.0 { format!("-{whole}") } else { whole };
    }
    let text = format!("{value:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn labels(scale: Scale, unit: Unit, most: usize) -> Vec<String> {
        scale.ticks(unit, most).into_iter().map(|tick| tick.label).filter(|label| !label.is_empty()).collect()
    }

    #[test]
    fn decades_of_time_have_their_units() {
        let scale = Scale::Log { low: 90.0, high: 2e7 };
        assert_eq!(labels(scale, Unit::Time, 8), ["100 ns", "1 µs", "10 µs", "100 µs", "1 ms", "10 ms"]);
    }

    #[test]
    fn a_short_logarithmic_axis_names_steps_between_decades() {
        let scale = Scale::Log { low: 80.0, high: 1_200.0 };
        assert_eq!(labels(scale, Unit::Time, 8), ["100 ns", "200 ns", "500 ns", "1 µs"]);
    }

    #[test]
    fn a_narrow_axis_has_more_than_one_name() {
        let named = labels(Scale::Log { low: 0.12e9, high: 3e9 }, Unit::Time, 3);
        assert_eq!(named, ["200 ms", "500 ms", "1 s", "2 s"]);
    }

    #[test]
    fn many_decades_are_thinned() {
        let named = labels(Scale::Log { low: 1.0, high: 1e19 }, Unit::Time, 6);
        assert!((3..=7).contains(&named.len()), "{named:?}");
    }

    #[test]
    fn a_linear_axis_keeps_to_one_unit() {
        let named = labels(Scale::Linear { low: 0.0, high: 2_300.0 }, Unit::Time, 5);
        assert_eq!(named, ["0", "0.5 µs", "1 µs", "1.5 µs", "2 µs"]);
    }

    #[test]
    fn what_is_counted_has_no_parts() {
        for (high, most, told) in [
            (1.0, 14, vec!["0", "1"]),
            (2.5, 9, vec!["0", "1", "2"]),
            (11.0, 5, vec!["0", "5", "10"]),
            (300.0, 14, vec!["0", "25", "50", "75", "100", "125", "150", "175", "200", "225", "250", "275", "300"]),
        ] {
            assert_eq!(labels(Scale::Linear { low: 0.0, high }, Unit::Count, most), told);
        }
    }

    #[test]
    fn each_nine_takes_as_much_room_as_the_one_before() {
        let scale = Scale::Nines { last: 0.9999 };
        let places = [0.0, 0.9, 0.99, 0.999, 0.9999].map(|share| scale.at(share));
        for (position, place) in places.iter().enumerate() {
            assert!((place - position as f64 / 4.0).abs() < 1e-9, "{places:?}");
        }
        assert_eq!(labels(scale, Unit::Share, 9), ["0", "p50", "p90", "p99", "p99.9", "p99.99"]);
    }

    #[test]
    fn equal_values_lie_in_the_middle_of_a_wide_enough_scale() {
        let scale = Scale::log([500.0, 500.0], 1.0);
        assert!((scale.at(500.0) - 0.5).abs() < 1e-9);
        assert!(scale.ticks(Unit::Time, 6).iter().filter(|tick| !tick.label.is_empty()).count() >= 2);
    }

    proptest! {
        #[test]
        fn every_value_has_a_place_and_ticks_are_few(
            values in prop::collection::vec(prop_oneof![Just(0.0), Just(1.844_674e19), 0.0..1e6, Just(f64::NAN)], 0..5),
            most in 0_usize..12,
        ) {
            for scale in [Scale::from_zero(values.clone()), Scale::around(values.clone()), Scale::log(values.clone(), 1.0)] {
                for &value in &values {
                    prop_assert!((0.0..=1.0).contains(&scale.at(value)));
                }
                let ticks = scale.ticks(Unit::Time, most);
                prop_assert!(ticks.len() < 200, "{}", ticks.len());
                prop_assert!(ticks.iter().all(|tick| tick.label.chars().count() <= 16), "{:?}", ticks);
            }
        }
    }
}
