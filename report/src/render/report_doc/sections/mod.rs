//! The sections of the report, in its order.

mod comparisons;
mod contention;
mod cpu_time;
mod frames;
mod latency;
mod legs;
mod machine;
mod storm;
mod throughput;

pub(super) use self::machine::{brief_environment, machine_line};

use super::{SectionPart, checks};
use crate::io::run::Run;
use crate::result::RunResult;

/// A section of the report.
#[derive(Debug, Clone, PartialEq)]
pub struct Section {
    /// Its anchor, unique in the document.
    pub id: &'static str,
    /// Its heading.
    pub title: &'static str,
    /// Its content, in order. Never empty.
    pub parts: Vec<SectionPart>,
}

/// The sections for which the run has data.
pub(super) fn sections(result: &RunResult, run: &Run) -> Vec<Section> {
    let sections = [
        ("comparisons", "Comparison with polling", comparisons::comparisons(result)),
        ("latency", "Latency", latency::latency(result)),
        ("legs", "Legs of a round trip", legs::legs(result)),
        ("frames", "Bandwidth: verified frames", frames::frames(result, run)),
        ("stream", "Streams", throughput::streams(result)),
        ("openloop", "Open loop: latency by offered load", throughput::open_loops(result)),
        ("contention", "Contention: with busy threads", contention::contention(result)),
        ("storm", "Storm: interrupts per doorbell", storm::storms(result)),
        ("cpu", "CPU time", cpu_time::cpu_time(result)),
        ("counters", "Counters", cpu_time::counters(result)),
        ("ceilings", "Peak bandwidth", machine::peak_bandwidth(result)),
        ("checks", "Self-checks", checks::checks(result)),
        ("warnings", "Warnings", checks::warnings(result)),
        ("environment", "Environment", machine::environment(result)),
        ("config", "Configuration", machine::config(result)),
    ];
    let sections = sections.into_iter().filter(|(_, _, parts)| !parts.is_empty());
    sections.map(|(id, title, parts)| Section { id, title, parts }).collect()
}
