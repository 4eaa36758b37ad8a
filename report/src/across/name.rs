//! A cell in as few columns as it takes to tell it from the others.

use crate::frame_size::size_name;
use crate::plan::{Arrivals, Conditions, Workload};

use super::cells::CellName;

/// For instance `pingpong 64B irq` or `contention irq 3busy 2ms`.
pub(super) fn short(cell: &CellName) -> String {
    let CellName { workload, size_bytes, mode, conditions, .. } = cell;
    let size = size_name(*size_bytes).replace(' ', "");
    let size = match (workload, conditions.slots) {
        // Messages of these are all of one size.
        (Workload::Openloop | Workload::Storm | Workload::Idle | Workload::Contention, _) => String::new(),
        (_, Some(slots)) => format!("{size}x{slots}"),
        _ => size,
    };
    let words = [workload.to_string(), size, mode.clone()].into_iter().chain(words(conditions));
    words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

fn words(conditions: &Conditions) -> impl Iterator<Item = String> {
    let flag = |set: bool, name: &str| set.then(|| name.to_owned());
    let random = if conditions.arrivals == Some(Arrivals::Poisson) { "~" } else { "" };
    [
        conditions.busy_threads.map(|threads| format!("{threads}busy")),
        flag(conditions.one_core, "1core"),
        conditions.gap_ns.map(exact),
        conditions.rate_per_s.map(|rate| format!("{random}{rate}/s")),
        flag(conditions.cold, "cold"),
        flag(conditions.always_ring, "rung"),
        flag(conditions.stamped, "stamped"),
        flag(conditions.again, "again"),
    ]
    .into_iter()
    .flatten()
}

/// A duration in the largest unit that divides it: names must tell 1.5 ms from 1.6 ms.
pub(crate) fn exact(ns: u64) -> String {
    let units = [(1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "us")];
    let unit = units.into_iter().find(|&(unit, _)| ns >= unit && ns.is_multiple_of(unit));
    unit.map_or_else(|| format!("{ns}ns"), |(unit, name)| format!("{}{name}", ns / unit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Wait;

    #[test]
    fn names_are_short_and_tell_conditions_apart() {
        let name = |workload, mode: &str, conditions| {
            short(&CellName {
                workload,
                size_bytes: 64,
                mode: mode.to_owned(),
                host_wait: Wait::Irq,
                guest_wait: Wait::Irq,
                conditions,
            })
        };
        assert_eq!(name(Workload::Pingpong, "hybrid/poll", Conditions::default()), "pingpong 64B hybrid/poll");
        let paced = Conditions { gap_ns: Some(1_500_000), ..Conditions::default() };
        assert_eq!(name(Workload::Paced, "irq", paced), "paced 64B irq 1500us");
        let beside =
            Conditions { busy_threads: Some(0), one_core: true, gap_ns: Some(2_000_000), ..Conditions::default() };
        assert_eq!(name(Workload::Contention, "irq", beside), "contention irq 0busy 1core 2ms");
        let open = Conditions { rate_per_s: Some(5_000), arrivals: Some(Arrivals::Poisson), ..Conditions::default() };
        assert_eq!(name(Workload::Openloop, "irq", open), "openloop irq ~5000/s");
        let stream = Conditions { slots: Some(16), always_ring: true, ..Conditions::default() };
        assert_eq!(name(Workload::Stream, "irq", stream), "stream 64Bx16 irq rung");
    }

    #[test]
    fn a_duration_keeps_every_digit() {
        assert_eq!([2_000_000, 1_001, 0, 3_000_000_000].map(exact), ["2ms", "1001ns", "0ns", "3s"]);
    }
}
