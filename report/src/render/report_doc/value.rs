//! A value as text with three significant digits, and its exact number.

use bench_model::units::{duration, rounded_thousands, sig3, speed, thousands};
use statistics::Interval;

/// The text of an unknown value.
pub(crate) const UNKNOWN: &str = "–";

/// A number or a word.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Value {
    /// The text with its unit.
    pub text: String,
    /// The number as in `result.json`, in the unit of `unit`. `None` for words and unknown values.
    pub exact: Option<String>,
    /// The unit of `exact`: `ns`, `B/s`, `µs`; empty for counts and ratios.
    pub unit: &'static str,
    /// The 95 % interval as text.
    pub interval: Option<(String, String)>,
}

impl Value {
    /// A word.
    pub fn word(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    /// An unknown value.
    pub fn unknown() -> Self {
        Self::word(UNKNOWN)
    }

    /// Nanoseconds.
    pub fn ns(ns: impl Into<Option<u64>>) -> Self {
        ns.into().map_or_else(Self::unknown, |ns| Self::whole_ns(ns as f64, ns.to_string()))
    }

    /// An interval, for instance `58.1–60.0 µs`: one unit if both ends have the same.
    pub fn range_ns(interval: &Interval<u64>) -> Self {
        let [low, high] = [interval.low, interval.high].map(|ns| duration(ns as f64));
        match (low.split_once(' '), high.split_once(' ')) {
            (Some((number, unit)), Some((_, high_unit))) if unit == high_unit => Self::word(format!("{number}–{high}")),
            (Some(_) | None, _) => Self::word(format!("{low}–{high}")),
        }
    }

    /// Nanoseconds of a leg, which may be negative within the uncertainty of the clock offset.
    pub fn signed_ns(ns: impl Into<Option<i64>>) -> Self {
        ns.into().map_or_else(Self::unknown, |ns| Self::whole_ns(ns as f64, ns.to_string()))
    }

    fn whole_ns(ns: f64, exact: String) -> Self {
        Self { text: duration(ns), exact: Some(exact), unit: "ns", interval: None }
    }

    /// Mean nanoseconds.
    pub fn mean_ns(ns: impl Into<Option<f64>>) -> Self {
        Self::real(ns, "ns", duration)
    }

    /// CPU time in microseconds.
    pub fn cpu_us(us: impl Into<Option<f64>>) -> Self {
        Self::real(us, "µs", |us| duration(us * 1e3))
    }

    /// Bytes per second.
    pub fn speed(bytes_per_second: impl Into<Option<f64>>) -> Self {
        Self::real(bytes_per_second, "B/s", speed)
    }

    /// A ratio, cores, or a count per operation.
    pub fn number(value: impl Into<Option<f64>>) -> Self {
        Self::real(value, "", sig3)
    }

    /// A ratio, with three significant digits even if it is small.
    pub fn ratio(value: impl Into<Option<f64>>) -> Self {
        Self::real(value, "", significant)
    }

    /// A rate per second.
    pub fn per_second(rate: impl Into<Option<f64>>) -> Self {
        Self::real(rate, "/s", |rate| format!("{}/s", rounded_thousands(rate)))
    }

    /// A count.
    pub fn count(count: impl Into<Option<u64>>) -> Self {
        count.into().map_or_else(Self::unknown, |count| Self {
            text: thousands(count),
            exact: Some(count.to_string()),
            unit: "",
            interval: None,
        })
    }

    /// A fraction from 0 to 1, as a percentage.
    pub fn share(share: impl Into<Option<f64>>) -> Self {
        Self::real(share, "", |share| format!("{} %", sig3(share * 100.0)))
    }

    /// With a 95 % interval in nanoseconds.
    pub fn within_ns(mut self, interval: Option<Interval<u64>>) -> Self {
        self.interval = interval.map(|Interval { low, high }| (duration(low as f64), duration(high as f64)));
        self
    }

    /// With the 95 % interval of a ratio.
    pub fn within(mut self, interval: Option<&Interval<f64>>) -> Self {
        self.interval = interval.map(|interval| (significant(interval.low), significant(interval.high)));
        self
    }

    /// Metric and interval in one line.
    pub fn line(&self) -> String {
        match &self.interval {
            Some((low, high)) => format!("{} ({low} to {high})", self.text),
            None => self.text.clone(),
        }
    }

    /// NaN and infinities of untrusted documents are unknown.
    fn real(value: impl Into<Option<f64>>, unit: &'static str, format: impl FnOnce(f64) -> String) -> Self {
        value.into().filter(|value| value.is_finite()).map_or_else(Self::unknown, |value| Self {
            text: format(value),
            exact: Some(value.to_string()),
            unit,
            interval: None,
        })
    }
}

/// Three significant digits for ratios below 1, too.
fn significant(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        size if size < 0.000_995 => format!("{value:.2e}"),
        size if size < 0.009_95 => format!("{value:.5}"),
        size if size < 0.099_5 => format!("{value:.4}"),
        size if size < 0.995 => format!("{value:.3}"),
        _ => sig3(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_exact_number() {
        let value = Value::ns(62_397).within_ns(Some(Interval { low: 60_000, high: 64_100 }));
        assert_eq!((value.text.as_str(), value.exact.as_deref(), value.unit), ("62.4 µs", Some("62397"), "ns"));
        assert_eq!(value.line(), "62.4 µs (60.0 µs to 64.1 µs)");
        assert_eq!(Value::share(0.5).line(), "50.0 %");
        assert_eq!(Value::per_second(14_654.08).text, "14,654/s");
    }

    #[test]
    fn small_ratios_have_three_digits() {
        let text = [0.016_29, 0.9, 0.005_1, 260.4, 0.000_012_34, 0.0].map(significant);
        assert_eq!(text, ["0.0163", "0.900", "0.00510", "260", "1.23e-5", "0"]);
    }

    #[test]
    fn nan_and_infinity_are_unknown() {
        for value in [Value::ns(None), Value::number(f64::NAN), Value::speed(f64::INFINITY), Value::count(None)] {
            assert_eq!((value.text.as_str(), value.exact), (UNKNOWN, None));
        }
    }
}
