//! The metric that a cell is compared, plotted and summarized by.
//!
//! Latencies of scheduled messages count from the scheduled send time (H5 − due). From the actual send time, a
//! preempted sender would look fast: it sends late and gets its acknowledgement immediately (coordinated omission).
//! Closed-loop messages are scheduled when they are sent, frames when the host begins to write.

use serde::{Deserialize, Serialize};

use bench_model::samples::Row;
use bench_model::{Conditions, Workload};

/// The metric. Less is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "Figure"))]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// The median of `latency_ns`. Messages: round trip. Frames: end to end. Storms: round trip of the last message.
    #[default]
    Latency,
    /// The median of `corrected_ns`: from the scheduled send time to the final acknowledgement.
    #[serde(rename = "from_due")]
    CorrectedLatency,
    /// Streams: the mean time per received message.
    TimePerMessage,
    /// Idle: cores in use. It is a cost, which is never called faster or slower.
    BusyCores,
}

impl Metric {
    /// The metric of a workload under these conditions.
    #[must_use]
    pub fn for_workload(workload: Workload, conditions: &Conditions) -> Self {
        match workload {
            Workload::Stream => Self::TimePerMessage,
            Workload::Idle => Self::BusyCores,
            Workload::Paced | Workload::Openloop => Self::CorrectedLatency,
            // With busy threads there are both: messages back to back and scheduled ones.
            Workload::Contention if conditions.gap_ns.is_some() => Self::CorrectedLatency,
            Workload::Pingpong | Workload::Frame | Workload::Storm | Workload::Contention => Self::Latency,
        }
    }

    /// An operation's value, in nanoseconds. `None`: not stamped, or the metric does not apply to single operations.
    #[must_use]
    pub fn of_row(self, workload: Workload, row: &Row) -> Option<u64> {
        match (self, workload) {
            (Self::CorrectedLatency, _) => row.corrected_ns,
            (Self::TimePerMessage | Self::BusyCores, _) | (_, Workload::Stream | Workload::Idle) => None,
            (Self::Latency, Workload::Frame) => row.end_to_end_ns,
            (Self::Latency, _) => row.rtt_ns,
        }
    }

    /// Its name in text.
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

    /// Its name in a table's header.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scheduled_messages_use_the_corrected_latency() {
        let gap = Conditions { gap_ns: Some(2_000_000), ..Conditions::default() };
        for workload in [Workload::Paced, Workload::Openloop, Workload::Contention] {
            assert_eq!(Metric::for_workload(workload, &gap), Metric::CorrectedLatency, "{workload}");
        }
        for workload in [Workload::Pingpong, Workload::Contention, Workload::Frame, Workload::Storm] {
            assert_eq!(Metric::for_workload(workload, &Conditions::default()), Metric::Latency, "{workload}");
        }
        assert_eq!(Metric::for_workload(Workload::Stream, &Conditions::default()), Metric::TimePerMessage);
        assert_eq!(Metric::for_workload(Workload::Idle, &Conditions::default()), Metric::BusyCores);
    }

    #[test]
    fn metric_names_in_json_are_stable() {
        let all = [Metric::Latency, Metric::CorrectedLatency, Metric::TimePerMessage, Metric::BusyCores];
        let json = serde_json::to_string(&all).expect("JSON");
        assert_eq!(json, r#"["latency","from_due","time_per_message","busy_cores"]"#);
    }
}
