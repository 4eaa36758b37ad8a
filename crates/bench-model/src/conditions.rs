//! What distinguishes blocks of one workload beyond size and wait mode.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::units::{duration, plural, thousands};

/// Distribution of the scheduled send times of an open loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Arrivals {
    /// At equal intervals.
    Fixed,
    /// At random intervals, exponentially distributed: many independent senders.
    Poisson,
}

impl Arrivals {
    /// Its name in files and on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Fixed => "fixed",
            Self::Poisson => "poisson",
        }
    }
}

/// The conditions of a block. Those that do not apply are `None` or `false`, and omitted in files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
#[expect(clippy::struct_excessive_bools, reason = "each applies or not, whatever the others do")]
pub struct Conditions {
    /// Contention: number of busy threads. They may run on every core that is available to the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub busy_threads: Option<u32>,
    /// Contention: initiator and virtual CPU share one core.
    #[serde(rename = "one_core", skip_serializing_if = "is_false")]
    pub shared_core: bool,
    /// Paced: time between an acknowledgement and the next message, in nanoseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gap_ns: Option<u64>,
    /// Open loop: offered load in messages per second. Storm: doorbells per second; `None`: as fast as possible.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_per_s: Option<u64>,
    /// Open loop: distribution of the scheduled send times.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arrivals: Option<Arrivals>,
    /// Frame: neither the frame nor its slot is in a cache when the host begins to write.
    #[serde(skip_serializing_if = "is_false")]
    pub cold: bool,
    /// Stream: slots of the ring.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slots: Option<u32>,
    /// Stream: a doorbell for every message, not only for an armed receiver.
    #[serde(skip_serializing_if = "is_false")]
    pub always_ring: bool,
    /// A polling guest takes all stamps before it acknowledges. Every leg is known, and the stamps add to the round
    /// trip.
    #[serde(rename = "stamped", skip_serializing_if = "is_false")]
    pub full_stamps: bool,
    /// The second of two equal series of an A/A test.
    #[serde(rename = "again", skip_serializing_if = "is_false")]
    pub aa_repeat: bool,
}

impl Conditions {
    /// Whether the run's own load preempts its threads, so delays are expected.
    #[must_use]
    pub fn is_contended(&self) -> bool {
        self.shared_core || self.busy_threads.is_some_and(|threads| threads > 0)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn is_false(value: &bool) -> bool {
    !value
}

/// For instance `2.00 ms gap, 3 busy threads`; empty without conditions.
impl fmt::Display for Conditions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let gap = self.gap_ns.map(|ns| format!("{} gap", duration(ns as f64)));
        let rate = self.rate_per_s.map(|rate| match self.arrivals {
            Some(Arrivals::Poisson) => format!("{}/s poisson", thousands(rate)),
            Some(Arrivals::Fixed) => format!("{}/s fixed", thousands(rate)),
            None => format!("{}/s", thousands(rate)),
        });
        let flag = |set: bool, name: &str| set.then(|| name.to_owned());
        let words = [
            self.busy_threads.map(|threads| plural(threads.into(), "busy thread")),
            flag(self.shared_core, "one core"),
            gap,
            rate,
            flag(self.cold, "cold"),
            self.slots.map(|slots| plural(slots.into(), "slot")),
            flag(self.always_ring, "always rung"),
            flag(self.full_stamps, "instrumented (all timestamps)"),
            flag(self.aa_repeat, "again"),
        ];
        f.pad(&words.into_iter().flatten().collect::<Vec<_>>().join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_conditions_and_omits_defaults() {
        assert_eq!(Conditions::default().to_string(), "");
        assert_eq!(serde_json::to_string(&Conditions::default()).expect("JSON"), "{}");
        let busy = Conditions { busy_threads: Some(3), gap_ns: Some(2_000_000), ..Conditions::default() };
        assert_eq!(busy.to_string(), "3 busy threads, 2.00 ms gap");
        let open = Conditions { rate_per_s: Some(5_000), arrivals: Some(Arrivals::Poisson), ..Conditions::default() };
        assert_eq!(open.to_string(), "5,000/s poisson");
        let text = serde_json::to_string(&open).expect("JSON");
        assert_eq!(serde_json::from_str::<Conditions>(&text).expect("read back"), open);
    }
}
