//! Which figure of a cell says how good its way to wait is: the one that is compared, drawn and told first. It is decided
//! here and nowhere else.
//!
//! Where a message is due at a time, its latency counts from that time (H5 − due). Counted from when it was sent, a sender
//! that had lost its core would look fast: it sends late, and the answer comes at once (coordinated omission). Messages
//! that follow on an answer are due when they are sent, and frames when the host begins to write them.

use serde::{Deserialize, Serialize};

use crate::result::Cell;
use crate::stats::{Interval, Summary};
use bench_model::samples::Row;
use bench_model::{Conditions, Workload};

/// What is compared. Less is better in each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "Figure"))]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// The median of `latency_ns`: of messages the round trip, of frames end to end, of a storm that of its last message.
    #[default]
    Latency,
    /// The median of `corrected_ns`: from when a message was due until its end.
    #[serde(rename = "from_due")]
    CorrectedLatency,
    /// Streams: the mean time per message that went through.
    TimePerMessage,
    /// Idling: cores kept busy. It is a cost and no speed, so that nothing is called faster or slower by it.
    BusyCores,
}

/// A cell's latencies by one of the figures that have a median.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Latencies<'a> {
    /// Nanoseconds.
    pub ns: &'a Summary,
    /// 95 % interval of the median by a block bootstrap.
    pub p50_interval_ns: Option<Interval<u64>>,
    /// By what factor one half of the blocks may differ from the other.
    pub noise_floor: Option<f64>,
}

impl Metric {
    /// The figure that a workload is about, under these conditions.
    #[must_use]
    pub fn of(workload: Workload, conditions: &Conditions) -> Self {
        match workload {
            Workload::Stream => Self::TimePerMessage,
            Workload::Idle => Self::BusyCores,
            Workload::Paced | Workload::Openloop => Self::CorrectedLatency,
            // Beside busy threads there are both: messages back to back, and messages that are due.
            Workload::Contention if conditions.gap_ns.is_some() => Self::CorrectedLatency,
            Workload::Pingpong | Workload::Frame | Workload::Storm | Workload::Contention => Self::Latency,
        }
    }

    /// The figure by which two cells of one workload can be compared. Tables of earlier versions do not say when messages
    /// were due; with one of those, both cells are compared by their round trips.
    #[must_use]
    pub fn between(one: &Cell, other: &Cell) -> Self {
        let (one, other) = (one.metric(), other.metric());
        if one == other { one } else { Self::Latency }
    }

    /// An operation's, in nanoseconds. `None`: not stamped, or no figure that single operations have.
    #[must_use]
    pub fn of_row(self, workload: Workload, row: &Row) -> Option<u64> {
        match (self, workload) {
            (Self::CorrectedLatency, _) => row.corrected_ns,
            (Self::TimePerMessage | Self::BusyCores, _) | (_, Workload::Stream | Workload::Idle) => None,
            (Self::Latency, Workload::Frame) => row.end_to_end_ns,
            (Self::Latency, _) => row.rtt_ns,
        }
    }

    /// What it counts, in words.
    #[must_use]
    pub fn words(self, workload: Workload) -> &'static str {
        match (self, workload) {
            (Self::Latency, Workload::Frame) => "end to end",
            (Self::Latency, _) => "round trip",
            (Self::CorrectedLatency, _) => "corrected latency",
            (Self::TimePerMessage, _) => "time per message",
            (Self::BusyCores, _) => "cores in use",
        }
    }

    /// The same for a column of a table.
    #[must_use]
    pub fn short(self, workload: Workload) -> &'static str {
        match (self, workload) {
            (Self::CorrectedLatency, _) => "corrected",
            (Self::TimePerMessage, _) => "per message",
            (Self::BusyCores, _) => "cores",
            (Self::Latency, _) => self.words(workload),
        }
    }
}

impl Cell {
    /// The figure by which it is compared: that of its workload, where the table that it was made of has it.
    #[must_use]
    pub fn metric(&self) -> Metric {
        match Metric::of(self.workload, &self.conditions) {
            Metric::CorrectedLatency if self.corrected_ns.is_none() && self.latency_ns.is_some() => Metric::Latency,
            figure => figure,
        }
    }

    /// Its latencies by the figure by which it is compared. `None` of streams and idling, and without an operation that
    /// ended ok.
    #[must_use]
    pub fn latencies(&self) -> Option<Latencies<'_>> {
        self.latencies_by(self.metric())
    }

    /// Its latencies by a given figure.
    #[must_use]
    pub fn latencies_by(&self, figure: Metric) -> Option<Latencies<'_>> {
        match figure {
            Metric::Latency => Some(Latencies {
                ns: self.latency_ns.as_ref()?,
                p50_interval_ns: self.p50_interval_ns,
                noise_floor: self.noise_floor,
            }),
            Metric::CorrectedLatency => Some(Latencies {
                ns: self.corrected_ns.as_ref()?,
                p50_interval_ns: self.corrected_p50_interval_ns,
                noise_floor: self.corrected_noise_floor,
            }),
            Metric::TimePerMessage | Metric::BusyCores => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_at_a_time_counts_from_then() {
        let gap = Conditions { gap_ns: Some(2_000_000), ..Conditions::default() };
        for workload in [Workload::Paced, Workload::Openloop, Workload::Contention] {
            assert_eq!(Metric::of(workload, &gap), Metric::CorrectedLatency, "{workload}");
        }
        for workload in [Workload::Pingpong, Workload::Contention, Workload::Frame, Workload::Storm] {
            assert_eq!(Metric::of(workload, &Conditions::default()), Metric::Latency, "{workload}");
        }
        assert_eq!(Metric::of(Workload::Stream, &Conditions::default()), Metric::TimePerMessage);
        assert_eq!(Metric::of(Workload::Idle, &Conditions::default()), Metric::BusyCores);
    }

    #[test]
    fn the_names_in_files_are_a_promise() {
        let all = [Metric::Latency, Metric::CorrectedLatency, Metric::TimePerMessage, Metric::BusyCores];
        let json = serde_json::to_string(&all).expect("JSON");
        assert_eq!(json, r#"["latency","from_due","time_per_message","busy_cores"]"#);
    }
}
